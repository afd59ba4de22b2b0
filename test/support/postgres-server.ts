import type { TestProject } from 'vitest/node';
import { startPostgres } from '../../bin/local/postgres.ts';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { withClient } from '../../lambda/postgres/connection.ts';
import { migrate } from '../../lambda/postgres/schema.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Of the server that all integration tests share. */
    postgresUrl: string;
  }
}

export const TEMPLATE = 'vizard_template';

/** One PostgreSQL for all integration tests, with a migrated database that each test file clones. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await startPostgres({ durable: false });
  await withClient(server.url, (client) => client.query(`CREATE DATABASE ${TEMPLATE}`));
  await withClient(databaseUrl(server.url, TEMPLATE), (client) => migrate(client, loginEvents));
  project.provide('postgresUrl', server.url);
  return () => server.stop();
}

export function databaseUrl(serverUrl: string, database: string): string {
  return Object.assign(new URL(serverUrl), { pathname: database }).href;
}
