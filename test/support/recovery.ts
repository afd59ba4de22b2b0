import { randomBytes } from 'node:crypto';
import type { CliOptions } from './cli.ts';
import type { TestDatabase } from './database.ts';
import { KEYSET_JSON } from './records.ts';

export const REASON = 'SUP-1: subject request';

/** What recover, lookup and erase are told beside what they are asked. */
export function access(url: string): string[] {
  return ['--database-url', url, '--reason', REASON];
}

/** The keyset of the tests, from the environment. */
export const KEYS: CliOptions = { env: { MASKING_KEYSET: KEYSET_JSON } };

/** A URL for a role of its own that has only the rights that are granted; gone with what it was granted. */
export async function roleUrl(database: TestDatabase, ...grants: string[]): Promise<string> {
  const name = `role_${randomBytes(6).toString('hex')}`;
  await database.client.query(`CREATE ROLE ${name} LOGIN PASSWORD 'test'`);
  for (const grant of grants) await database.client.query(`GRANT ${grant} TO ${name}`);
  return Object.assign(new URL(database.url), { username: name, password: 'test' }).href;
}

export async function dropRole(database: TestDatabase, url: string): Promise<void> {
  const { username } = new URL(url);
  await database.client.query(`DROP OWNED BY ${username}; DROP ROLE ${username}`);
}

/** Everything that stands in the audit trail, as text. */
export async function auditText(database: TestDatabase): Promise<string> {
  const rows = await database.rows<{ row: string }>('SELECT pii_audit::text AS row FROM pii_audit');
  return rows.map(({ row }) => row).join('\n');
}
