import type { ClientBase } from 'pg';
import type { TestProject } from 'vitest/node';
import { startPostgres } from '../../bin/local/postgres.ts';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { type Login, withClient } from '../../lambda/postgres/connection.ts';
import { migrate } from '../../lambda/postgres/schema/schema.ts';
import { type Certificate, createAuthority } from './certificates.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Of the server that all integration tests share. */
    postgresUrl: string;
    /** The authority that its certificate is from, as PEM. */
    certificateAuthority: string;
  }
}

export const TEMPLATE = 'vizard_template';
/** What its certificate is for; its address is not in it. */
export const HOSTNAME = 'localhost';

/** One PostgreSQL for all integration tests, with a migrated database that each test file clones. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await startPostgres({ durable: false });
  const authority = createAuthority('Vizard Test CA');
  const login = (url: string): Login => ({ kind: 'url', url });
  await withClient(login(server.url), async (client) => {
    await client.query(`CREATE DATABASE ${TEMPLATE}`);
    // On RDS it is there.
    await client.query('CREATE ROLE rds_iam NOLOGIN');
    // DROP DATABASE waits for every session that is still logging in, and a test may leave one that never gets there.
    await client.query(`ALTER SYSTEM SET authentication_timeout = '5s'`);
    await offerTls(client, authority.issue(HOSTNAME));
  });
  await withClient(login(databaseUrl(server.url, TEMPLATE)), (client) => migrate(client, loginEvents));
  project.provide('postgresUrl', server.url);
  project.provide('certificateAuthority', authority.certificate);
  return () => server.stop();
}

export function databaseUrl(serverUrl: string, database: string): string {
  return Object.assign(new URL(serverUrl), { pathname: database }).href;
}

/** The server writes the files itself, because it runs as a user of its own and wants the key readable by no other. */
export async function offerTls(client: ClientBase, { certificate, key }: Certificate): Promise<void> {
  for (const [file, pem] of [
    ['server.crt', certificate],
    ['server.key', key],
  ] as const) {
    const lines = `SELECT line FROM unnest(string_to_array('${pem.trim()}', chr(10))) AS line`;
    await client.query(`COPY (${lines}) TO PROGRAM 'umask 077 && cat >${file}'`);
  }
  await client.query('ALTER SYSTEM SET ssl = on');
  await client.query('SELECT pg_reload_conf()');
}
