import { readDatabaseUrl } from './config.ts';
import { loginEvents } from './events/login-event.ts';
import { withClient } from './postgres/connection.ts';
import { migrate } from './postgres/schema.ts';

/** Brings the schema up; idempotent. */
export async function handler(): Promise<void> {
  await withClient(readDatabaseUrl(process.env), (client) => migrate(client, loginEvents));
}
