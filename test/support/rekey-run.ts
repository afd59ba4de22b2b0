import type { ClientBase } from 'pg';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { withClient } from '../../lambda/postgres/connection.ts';
import { type RekeyOptions, type RekeyOutcome, rekey } from '../../lambda/postgres/rekey/rekey.ts';
import type { TestDatabase } from './database.ts';
import { KEYSETS } from './rekey.ts';
import { SILENT } from './rekey-table.ts';

/** A rekey by the library, from k1 to k2. @param prepare gets the connection that it works on */
export function runRekey(
  database: Pick<TestDatabase, 'login'>,
  options: Partial<RekeyOptions>,
  prepare: (client: ClientBase) => void = () => {},
): Promise<RekeyOutcome> {
  return withClient(database.login, (client) => {
    prepare(client);
    return rekey(client, loginEvents, KEYSETS.k2, {
      rotation: { from: 'k1', to: 'k2' },
      rows: 0,
      batchSize: 50,
      signal: new AbortController().signal,
      progress: SILENT,
      onBatch() {},
      ...options,
    });
  });
}

/** Does something else around each statement of a kind. */
export function around(
  client: ClientBase,
  pattern: RegExp,
  act: (statement: () => Promise<unknown>) => Promise<unknown>,
): void {
  const query = client.query.bind(client) as (...args: unknown[]) => Promise<unknown>;
  const other = (...args: unknown[]) =>
    pattern.test(String(args[0])) ? act(() => query(...args)) : query(...args);
  Object.assign(client, { query: other });
}

/** The count before the first row is rewritten. */
export const FIRST_CENSUS = /^INSERT INTO user_logins_rekey_groups.*'before'/s;

/** The count after the last row was rewritten. */
export const SECOND_CENSUS = /^INSERT INTO user_logins_rekey_groups.*'after'/s;
