import { randomBytes } from 'node:crypto';
import { Client, type QueryResultRow } from 'pg';
import { afterAll, beforeAll, beforeEach, inject, vi } from 'vitest';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { AUDIT_TABLE } from '../../lambda/postgres/audit/table.ts';
import { type Login, withClient } from '../../lambda/postgres/connection.ts';
import { keysTable } from '../../lambda/postgres/keys/table.ts';
import { databaseUrl, TEMPLATE } from './postgres-server.ts';

/** A database for the tests of one file: a clone of the migrated template, or an empty one. */
export interface TestDatabase {
  readonly url: string;
  /** The administrator's, by that URL. */
  readonly login: Login;
  /** An administrator's connection. */
  readonly client: Client;
  rows<T extends QueryResultRow>(sql: string, values?: unknown[]): Promise<T[]>;
  count(): Promise<number>;
}

export interface TestDatabaseOptions {
  /** Without a schema. @default false: migrated, and emptied before each test */
  readonly empty?: boolean;
}

export function useDatabase({ empty = false }: TestDatabaseOptions = {}): TestDatabase {
  const serverUrl = inject('postgresUrl');
  const server: Login = { kind: 'url', url: serverUrl };
  const name = `test_${randomBytes(6).toString('hex')}`;
  const url = databaseUrl(serverUrl, name);
  const client = new Client({ connectionString: url });
  beforeAll(async () => {
    const template = empty ? 'template0' : TEMPLATE;
    await withClient(server, (admin) => admin.query(`CREATE DATABASE ${name} TEMPLATE ${template}`));
    await client.connect();
  });
  const tables = `${loginEvents.table}, ${keysTable(loginEvents)}, ${AUDIT_TABLE}`;
  if (!empty) beforeEach(() => client.query(`TRUNCATE ${tables}`).then(() => undefined));
  afterAll(async () => {
    await client.end();
    // Fails while a pool of the test still holds a connection: a leak is a failure. A session takes a moment to end.
    const drop = () => withClient(server, (admin) => admin.query(`DROP DATABASE ${name}`));
    await vi.waitFor(drop, { timeout: 20_000, interval: 100 });
  });
  return {
    url,
    login: { kind: 'url', url },
    client,
    rows: async <T extends QueryResultRow>(sql: string, values: unknown[] = []) =>
      (await client.query<T>(sql, values)).rows,
    async count() {
      const { rows } = await client.query<{ count: number }>(
        `SELECT count(*)::int FROM ${loginEvents.table}`,
      );
      return rows[0]!.count;
    },
  };
}
