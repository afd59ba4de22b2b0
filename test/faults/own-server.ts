import { afterAll, beforeAll, beforeEach } from 'vitest';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { withClient } from '../../lambda/postgres/connection.ts';
import { migrate } from '../../lambda/postgres/schema/schema.ts';
import { type RestartablePostgres, startRestartablePostgres } from '../support/restartable-postgres.ts';
import type { Database } from './server-side.ts';

/** A migrated database on a server that the tests of one file may kill; emptied before each test. */
export interface OwnDatabase extends Database {
  readonly server: RestartablePostgres;
}

export function useOwnServer(): OwnDatabase {
  let server: RestartablePostgres;
  const database: OwnDatabase = {
    get server() {
      return server;
    },
    get login() {
      return { kind: 'url', url: server.url } as const;
    },
    rows: async (sql, values) =>
      (await withClient(database.login, (client) => client.query(sql, values))).rows,
  };
  beforeAll(async () => {
    server = await startRestartablePostgres();
    await withClient(database.login, (client) => migrate(client, loginEvents));
  });
  beforeEach(async () => {
    await database.rows(`TRUNCATE ${loginEvents.table}`);
  });
  afterAll(() => server.stop());
  return database;
}
