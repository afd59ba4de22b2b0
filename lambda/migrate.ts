import { Client } from 'pg';
import { readDatabaseUrl } from './config.ts';
import { loginEvents } from './events/login-event.ts';
import { migrate } from './postgres/schema.ts';

/** Brings the schema up; idempotent. */
export async function handler(): Promise<void> {
  const client = new Client({ connectionString: readDatabaseUrl(process.env) });
  await client.connect();
  try {
    await migrate(client, loginEvents);
  } finally {
    await client.end();
  }
}
