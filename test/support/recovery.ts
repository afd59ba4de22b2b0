import { randomBytes } from 'node:crypto';
import { expect } from 'vitest';
import type { Masking } from '../../lambda/events/declaration.ts';
import { parseKeyset } from '../../lambda/masking/keyset.ts';
import type { AuditRow } from '../../lambda/postgres/audit/audit.ts';
import type { CliOptions, CliResult } from './cli.ts';
import type { TestDatabase } from './database.ts';
import { keyset, type useFunctions } from './function.ts';
import { KEYSET_JSON, loginEvent, record } from './records.ts';

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

/** The trail as it stands in the table: bigint is text there. */
export function trail(database: TestDatabase): Promise<AuditRow[]> {
  return database.rows<AuditRow>('SELECT * FROM pii_audit ORDER BY number');
}

/** A person's values, each of which would be recognised wherever it is written. */
export const IP = '2001:db8::ca7a';
export const DEVICE = 'CANARY-DEVICE-1';

/** Fails where a planted value can be read. */
export function expectNothingPlanted(written: string): void {
  expect(/CANARY|db8:/i.test(written), 'a planted value was written').toBe(false);
}

/** What could not be done was said in one line, and nothing else: no value is shown or kept. */
export async function expectNothingShown(database: TestDatabase, result: CliResult): Promise<void> {
  const { stdout, stderr, exitCode } = result;
  expect({ stdout, exitCode }).toEqual({ stdout: '', exitCode: 2 });
  expect(stderr).toMatch(/^vizard: [^\n]+\n$/);
  expectNothingPlanted(stderr + (await auditText(database)));
}

export interface StoreOptions {
  readonly masking?: Masking;
  /** The kid that the event is masked under. @default k1 */
  readonly primary?: 'k2';
}

/** An event's tokens. */
export interface Stored {
  readonly ip: string;
  readonly device: string;
}

const K2_FIRST = parseKeyset(JSON.stringify({ ...JSON.parse(KEYSET_JSON), primary: 'k2' }));

/** Lets the handler store events of the person, with changes. */
export function personStore(
  database: TestDatabase,
  createFunction: ReturnType<typeof useFunctions>,
): (changes?: Record<string, unknown>, options?: StoreOptions) => Promise<Stored> {
  return async (changes = {}, { masking = 'recoverable', primary } = {}) => {
    const keysetSource = () => Promise.resolve(primary === undefined ? keyset : K2_FIRST);
    const { invoke } = createFunction({ databaseUrl: database.url, masking, keysetSource });
    const message = record(loginEvent({ ip: IP, device_id: DEVICE, ...changes }));
    expect(await invoke([message])).toEqual([]);
    const [row] = await database.rows<Stored>(
      'SELECT masked_ip AS ip, masked_device_id AS device FROM user_logins WHERE event_id = $1',
      [message.messageId],
    );
    return row!;
  };
}

/** The users whom storePeople() stores; the first three are one person, and the last has her device. */
export const PEOPLE = ['h1', 'k1', 'k2', 'other', 'same device'];

/** One person under two keys and irreversibly, and two others. */
export async function storePeople(store: ReturnType<typeof personStore>): Promise<void> {
  await store({ user_id: 'k1' });
  await store({ user_id: 'k2' }, { primary: 'k2' });
  await store({ user_id: 'h1', device_id: 'another' }, { masking: 'irreversible' });
  await store({ user_id: 'same device', ip: '192.0.2.1' });
  await store({ user_id: 'other', ip: '192.0.2.2', device_id: 'third' });
}

/** The users that have rows, in order. */
export async function usersOf(database: TestDatabase, condition = 'true'): Promise<string[]> {
  const rows = await database.rows<{ user_id: string }>(
    `SELECT user_id FROM user_logins WHERE ${condition} ORDER BY user_id COLLATE "C"`,
  );
  return rows.map(({ user_id }) => user_id);
}
