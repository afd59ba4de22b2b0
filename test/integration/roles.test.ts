import { execFileSync } from 'node:child_process';
import type { QueryResult } from 'pg';
import { beforeAll, describe, expect, it } from 'vitest';
import type { TableDeclaration } from '../../lambda/events/declaration.ts';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { withClient } from '../../lambda/postgres/connection.ts';
import { migrate } from '../../lambda/postgres/schema/schema.ts';
import { useDatabase } from '../support/database.ts';
import { useFunctions } from '../support/function.ts';
import { loginEvent, record, records } from '../support/records.ts';
import { grants, settings, uniqueRoles } from '../support/roles.ts';
import { tlsLogin } from '../support/tls.ts';

const database = useDatabase();
const createFunction = useFunctions();
const roles = uniqueRoles();
const { writer, reader, recovery, custodian } = roles;

const PASSWORD = 'stands-for-a-token';

beforeAll(async () => {
  await migrate(database.client, loginEvents, { roles, vault: true });
  // Without IAM authentication it takes a password to log in.
  await database.client.query(
    `ALTER ROLE ${writer} PASSWORD '${PASSWORD}'; ALTER ROLE ${reader} PASSWORD '${PASSWORD}'`,
  );
});

const loginAs = (user: string) => tlsLogin(database.url, { user, password: async () => PASSWORD });

/** Runs one statement as a role and takes it back. @returns its result, or the code of the refusal */
async function attempt(user: string, sql: string): Promise<QueryResult | { readonly code: string }> {
  return withClient(loginAs(user), async (client) => {
    await client.query('BEGIN');
    return client.query(sql).catch((error: { code: string }) => ({ code: error.code }));
  });
}

const DENIED = { code: '42501' };

const ROW = `INSERT INTO user_logins (user_id, masked_ip, create_date, event_id) VALUES ('u', 't', '2024-01-01', gen_random_uuid())`;

describe('the ingest, as the writer', () => {
  it('stores everything after the server has ended the idle connection of a frozen environment', async () => {
    await database.client.query(`ALTER ROLE ${writer} SET idle_session_timeout = '50ms'`);
    try {
      const { invoke } = createFunction({ login: loginAs(writer) });
      expect(await invoke(records(50))).toEqual([]);

      waitFrozenUntilGone(writer);

      expect(await invoke(records(50))).toEqual([]);
      expect(await database.count()).toBe(100);
    } finally {
      await database.client.query(`ALTER ROLE ${writer} SET idle_session_timeout = '10min'`);
    }
  });

  it('stores, and knows duplicates by COPY, by redelivery and within the batch', async () => {
    const { invoke, reports } = createFunction({ login: loginAs(writer) });
    const batch = records(300);
    const again = records(100, { receiveCount: 2 });

    expect(await invoke([...batch, batch[0]!])).toEqual([]);
    expect(await invoke([...batch, ...records(10)])).toEqual([]);
    expect(await invoke(again)).toEqual([]);
    expect(await invoke(again)).toEqual([]);

    expect(reports.map(({ stored, duplicates }) => [stored, duplicates])).toEqual([
      [300, 1],
      [10, 300],
      [100, 0],
      [0, 100],
    ]);
    expect(await database.count()).toBe(410);
  });

  it('finds the row that the database refuses', async () => {
    await database.client.query(`ALTER TABLE user_logins ADD CONSTRAINT refuse CHECK (user_id <> 'refused')`);
    try {
      const { invoke } = createFunction({ login: loginAs(writer) });
      const refused = record(loginEvent({ user_id: 'refused' }));

      expect(await invoke([...records(50), refused, ...records(50)])).toEqual([refused.messageId]);
      expect(await database.count()).toBe(100);
    } finally {
      await database.client.query('ALTER TABLE user_logins DROP CONSTRAINT refuse');
    }
  });
});

/** Blocks this process meanwhile: a frozen one does not hear that its connection was closed. */
function waitFrozenUntilGone(user: string): void {
  const script = `
    const { Client } = (await import('pg')).default;
    const client = new Client({ connectionString: process.env.DATABASE_URL });
    await client.connect();
    const gone = async () =>
      (await client.query('SELECT FROM pg_stat_activity WHERE usename = $1', [process.env.ROLE])).rowCount === 0;
    while (!(await gone())) await new Promise((resolve) => setTimeout(resolve, 20));
    await client.end();`;
  const env = { ...process.env, DATABASE_URL: database.url, ROLE: user };
  execFileSync(process.execPath, ['--input-type=module', '-e', script], { env, timeout: 20_000 });
}

describe('the writer', () => {
  it('sees what ON CONFLICT has to look at', async () => {
    expect(await attempt(writer, 'SELECT create_date, event_id FROM user_logins')).toHaveProperty('rows', []);
    expect(await attempt(writer, ROW)).toHaveProperty('rowCount', 1);
  });

  it.each([
    'SELECT masked_ip FROM user_logins',
    'SELECT masked_device_id FROM user_logins',
    'SELECT user_id FROM user_logins',
    'SELECT * FROM user_logins',
    'COPY user_logins TO STDOUT',
    'SELECT * FROM user_login_repeats',
    `UPDATE user_logins SET locale = 'x'`,
    `${ROW} ON CONFLICT (create_date, event_id) DO UPDATE SET locale = 'x'`,
    `${ROW} RETURNING masked_ip`,
    'DELETE FROM user_logins',
    'TRUNCATE user_logins',
    'CREATE TABLE public.mine (a int)',
    'CREATE VIEW mine AS SELECT 1',
    'CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$',
    'CREATE SCHEMA mine',
    'CREATE ROLE mine',
    'ALTER TABLE user_logins ADD COLUMN mine int',
    'DROP TABLE user_logins CASCADE',
    'CREATE INDEX ON user_logins (user_id)',
    `UPDATE user_logins_keys SET proof = 'x'`,
    'DELETE FROM user_logins_keys',
    'TRUNCATE user_logins_keys',
    'DROP TABLE user_logins_keys',
  ])('is refused %s', async (sql) => {
    expect(await refusal(writer, sql)).toEqual(DENIED);
  });
});

describe('the reader', () => {
  it.each(['SELECT * FROM user_logins', 'SELECT * FROM user_login_repeats'])('runs %s', async (sql) => {
    expect(await attempt(reader, sql)).toHaveProperty('rows', []);
  });

  it.each([
    ROW,
    `UPDATE user_logins SET locale = 'x'`,
    'DELETE FROM user_logins',
    'TRUNCATE user_logins',
    'CREATE TABLE public.mine (a int)',
    'ALTER TABLE user_logins ADD COLUMN mine int',
    'DROP VIEW user_login_repeats',
    'COPY user_logins FROM STDIN',
    'SELECT proof FROM user_logins_keys',
    `INSERT INTO user_logins_keys VALUES ('k9', 'x')`,
  ])('is refused %s', async (sql) => {
    expect(await refusal(reader, sql)).toEqual(DENIED);
  });
});

async function refusal(user: string, sql: string): Promise<unknown> {
  const result = await attempt(user, sql);
  return 'code' in result ? result : { done: result.command };
}

const READ_ALL = ['user_logins', 'user_login_repeats', 'user_logins_current'].map((name) => `SELECT ${name}`);
const CHANGED = ['aliases', 'vault'].map((name) => `user_logins_${name}`);
const APPEND = ['INSERT pii_audit', 'SELECT pii_audit'];

const EXACTLY = Object.entries({
  [writer]: [
    'INSERT user_logins',
    'SELECT user_logins.create_date',
    'SELECT user_logins.event_id',
    'INSERT user_logins_keys',
    'SELECT user_logins_keys',
    'INSERT user_logins_vault',
    'INSERT user_logins_vault_keys',
  ],
  [reader]: [...READ_ALL, 'SELECT user_logins_aliases'],
  [recovery]: [
    ...READ_ALL,
    'SELECT user_logins_keys',
    'SELECT user_logins_aliases',
    'SELECT user_logins_vault',
    'SELECT user_logins_vault_keys',
    ...APPEND,
  ],
  [custodian]: [
    ...READ_ALL,
    'UPDATE user_logins.masked_ip',
    'UPDATE user_logins.masked_device_id',
    'DELETE user_logins',
    'SELECT user_logins_keys',
    'INSERT user_logins_keys',
    ...['SELECT', 'INSERT', 'UPDATE', 'DELETE'].flatMap((right) => CHANGED.map((name) => `${right} ${name}`)),
    ...['SELECT', 'INSERT', 'UPDATE'].map((right) => `${right} user_logins_rekeys`),
    ...['SELECT', 'INSERT', 'DELETE'].map((right) => `${right} user_logins_rekey_groups`),
    ...APPEND,
  ],
})
  .flatMap(([role, rights]) =>
    [...rights, 'USAGE schema public', 'rds_iam'].map((right) => `${role}: ${right}`),
  )
  .toSorted();

describe('the migration with roles', () => {
  it('grants exactly this', async () => {
    expect((await grants(database, roles)).toSorted()).toEqual(EXACTLY);
  });

  it('says what it created, and grants the same the second time', async () => {
    const fresh = uniqueRoles();

    const first = await migrate(database.client, loginEvents, { roles: fresh });
    const second = await migrate(database.client, loginEvents, { roles: fresh });

    expect(first).toEqual(Object.values(fresh).map((role) => `role ${role}`));
    expect(second).toEqual([]);
    await migrate(database.client, loginEvents, { roles });
    expect((await grants(database, roles)).toSorted()).toEqual(EXACTLY);
  });

  it('takes back what the roles were granted since', async () => {
    await database.client.query(`
      GRANT ALL ON ALL TABLES IN SCHEMA public TO ${Object.values(roles).join(', ')};
      GRANT SELECT (masked_ip), UPDATE (locale) ON user_logins TO ${writer};
      GRANT UPDATE (locale) ON user_logins TO ${custodian};
      GRANT ALL ON SCHEMA public TO ${writer}, ${reader};
      ALTER ROLE ${reader} NOLOGIN`);

    await migrate(database.client, loginEvents, { roles });

    expect((await grants(database, roles)).toSorted()).toEqual(EXACTLY);
    expect(await refusal(reader, 'CREATE TABLE public.mine (a int)')).toEqual(DENIED);
  });

  it.each([
    ['that it makes', ''],
    ['that is there', `CREATE ROLE idle LOGIN; ALTER ROLE idle SET lock_timeout = '1s'`],
  ])('gives up idle connections of a writer %s, so that the cluster can pause', async (_name, before) => {
    const fresh = uniqueRoles();
    await database.client.query(before.replaceAll('idle ', `${fresh.writer} `));

    await migrate(database.client, loginEvents, { roles: fresh });

    expect(await settings(database, fresh.writer)).toContain('idle_session_timeout=10min');
  });

  it('leaves what somebody has set for the writer instead', async () => {
    const fresh = uniqueRoles();
    await migrate(database.client, loginEvents, { roles: fresh });
    await database.client.query(`
      ALTER ROLE ${fresh.writer} SET idle_session_timeout = '1h';
      DO $$ BEGIN EXECUTE format('ALTER ROLE ${fresh.writer} IN DATABASE %I SET search_path = public, extra', current_database()); END $$`);

    await migrate(database.client, loginEvents, { roles: fresh });

    expect((await settings(database, fresh.writer)).toSorted()).toEqual([
      'idle_session_timeout=1h',
      'search_path=public, extra',
    ]);
  });

  it('may run from several places at once', async () => {
    const fresh = uniqueRoles();
    const migrations = Array.from({ length: 5 }, () =>
      withClient(database.login, (client) => migrate(client, loginEvents, { roles: fresh })),
    );

    await expect(Promise.all(migrations)).resolves.toHaveLength(5);
  });

  it('says where there is no IAM authentication, and changes nothing', async () => {
    const before = await grants(database, roles);
    // The role is away in this transaction only, which the migration takes back.
    await database.client.query('BEGIN; ALTER ROLE rds_iam RENAME TO rds_iam_away');

    await expect(migrate(database.client, loginEvents, { roles: uniqueRoles() })).rejects.toThrow(
      'role rds_iam: expected on a database on RDS, got none; a database elsewhere is given by its URL',
    );

    expect(await grants(database, roles)).toEqual(before);
  });

  it('is driven by the declaration', async () => {
    const signups = {
      table: 'signups',
      columns: [{ column: 'masked_email', source: ['email'], type: 'text', mask: { domain: 'email' } }],
      repeats: { view: 'signup_repeats', count: 'signups', subject: 'masked_email', subjects: 'emails' },
    } as const satisfies TableDeclaration;

    await migrate(database.client, signups, { roles });
    const { invoke } = createFunction({ login: loginAs(writer), declaration: signups });
    expect(await invoke([record({ email: 'jane@example.org' })])).toEqual([]);

    expect(await refusal(writer, 'SELECT masked_email FROM signups')).toEqual(DENIED);
    expect(await attempt(reader, 'SELECT masked_email FROM signups')).toHaveProperty('rowCount', 1);
    expect(await attempt(writer, ROW)).toHaveProperty('rowCount', 1);
  });
});
