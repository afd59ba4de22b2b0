import { Connection } from 'pg';
import { afterEach, vi } from 'vitest';

/** @returns begins to watch: the statements that any connection of this process sends from then on, a message each */
export function useStatements(): () => string[] {
  afterEach(() => {
    vi.restoreAllMocks();
  });
  return () => {
    const statements: string[] = [];
    const { query, parse } = Connection.prototype;
    vi.spyOn(Connection.prototype, 'query').mockImplementation(function (this: Connection, text) {
      statements.push(text);
      query.call(this, text);
    });
    vi.spyOn(Connection.prototype, 'parse').mockImplementation(function (this: Connection, statement, more) {
      statements.push(statement.text);
      parse.call(this, statement, more);
    });
    return statements;
  };
}
