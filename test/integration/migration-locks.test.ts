import { Client } from 'pg';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Deadline } from '../../lambda/deadline.ts';
import type { TableDeclaration } from '../../lambda/events/declaration.ts';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { runMigration } from '../../lambda/migration.ts';
import { withClient } from '../../lambda/postgres/connection.ts';
import { type MigrationOptions, migrate } from '../../lambda/postgres/schema/schema.ts';
import { useDatabase } from '../support/database.ts';
import { runEntryPoint } from '../support/lambda-process.ts';
import { memoryLog } from '../support/log.ts';
import { uniqueRoles } from '../support/roles.ts';

const database = useDatabase();

const INSERT =
  'INSERT INTO user_logins (user_id, create_date, event_id) VALUES ($1, now(), gen_random_uuid())';
const GROWN: TableDeclaration = {
  ...loginEvents,
  columns: [
    ...loginEvents.columns,
    { column: 'carrier', source: ['carrier'], type: 'text', maxLength: 40, optional: true },
  ],
};

/** Of analysts and other writers; what they have open ends with the test. */
const others: Client[] = [];
async function connect(): Promise<Client> {
  const client = new Client({ connectionString: database.url });
  await client.connect();
  others.push(client);
  return client;
}
afterEach(async () => {
  await Promise.all(others.splice(0).map((client) => client.end()));
  await database.client.query(
    'DROP VIEW user_login_repeats, user_logins_current; ALTER TABLE user_logins DROP COLUMN IF EXISTS carrier',
  );
  await migrate(database.client, loginEvents);
});

function runMigrate(declaration: TableDeclaration, options: MigrationOptions = {}): Promise<string[]> {
  return withClient(database.login, (client) => migrate(client, declaration, options));
}

/** Of the sessions of this database that wait for a lock: when their transactions began. */
async function waiting(): Promise<string[]> {
  const rows = await database.rows<{ start: string }>(
    `SELECT xact_start::text AS start FROM pg_stat_activity
     WHERE datname = current_database() AND wait_event_type = 'Lock'`,
  );
  return rows.map(({ start }) => start);
}

async function untilWaiting(): Promise<string[]> {
  return vi.waitFor(async () => {
    const found = await waiting();
    expect(found).not.toEqual([]);
    return found;
  }, 20_000);
}

describe('a migration that finds everything there', () => {
  const roles = uniqueRoles();
  beforeEach(async () => {
    await migrate(database.client, loginEvents, { roles });
  });

  it('waits for no reader and no writer, and keeps none waiting', async () => {
    const analyst = await connect();
    await analyst.query('BEGIN; SELECT count(*) FROM user_logins; SELECT count(*) FROM user_login_repeats');
    const writer = await connect();
    await writer.query('BEGIN');
    await writer.query(INSERT, ['open']);

    expect(await runMigrate(loginEvents, { roles, lockWait: 1_000 })).toEqual([]);

    const another = await connect();
    await another.query(`SET statement_timeout = '2s'`);
    await another.query(INSERT, ['another']);
    await writer.query('COMMIT');
    expect(await database.count()).toBe(2);
  });
});

describe('a migration that finds something else', () => {
  it('says so of a table in the place of the view', async () => {
    await database.client.query(
      'ALTER VIEW user_login_repeats RENAME TO kept; CREATE TABLE user_login_repeats (a int)',
    );
    try {
      await expect(runMigrate(loginEvents)).rejects.toThrow(
        'view user_login_repeats: expected a view, got something else of that name; rename it',
      );
    } finally {
      await database.client.query(
        'DROP TABLE user_login_repeats; ALTER VIEW kept RENAME TO user_login_repeats',
      );
    }
  });
});

describe('a migration that has to wait for a lock', () => {
  it('lets the ingest pass between its attempts, then gives up with advice', async () => {
    const analyst = await connect();
    await analyst.query('BEGIN; SELECT count(*) FROM user_logins');
    const migration = runMigrate(GROWN, { lockWait: 300 });
    const failed = expect(migration).rejects.toMatchObject({ name: 'DatabaseFailure', code: '55P03' });
    await untilWaiting();

    await database.client.query(INSERT, ['queued behind it']);

    await failed;
    expect(await database.count()).toBe(1);
  });

  it('tries again, and succeeds when the lock is free', async () => {
    const analyst = await connect();
    await analyst.query('BEGIN; SELECT count(*) FROM user_logins');
    const migration = runMigrate(GROWN, { lockWait: 300 });
    const [first] = await untilWaiting();
    await vi.waitFor(
      async () => expect((await waiting()).filter((start) => start !== first)).toHaveLength(1),
      20_000,
    );

    await analyst.query('COMMIT');

    expect(await migration).toEqual([]);
    expect(await database.rows('SELECT carrier FROM user_logins')).toEqual([]);
  });

  it('is over before the invocation, and says what to look for', async () => {
    const other = await connect();
    await other.query(`SELECT pg_advisory_lock(hashtext('vizard migration'))`);
    const end = performance.now() + 1_000;
    const deadline: Deadline = { remaining: () => Math.max(0, end - performance.now()) };

    await expect(
      runMigration(loginEvents, { login: database.login }, memoryLog().log, deadline),
    ).rejects.toThrow(/^the database was not migrated; it did not end within the time .* \(57014\)$/);
  });

  it('has its time from Lambda', async () => {
    const other = await connect();
    await other.query(`SELECT pg_advisory_lock(hashtext('vizard migration'))`);

    const { lines } = await runEntryPoint('migrate', { DATABASE_URL: database.url }, [{}], 1_500);

    expect(lines.at(-1)?.errorMessage).toMatch(/\(57014\)$/);
  });
});
