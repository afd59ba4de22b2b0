import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TableDeclaration } from '../../lambda/events/declaration.ts';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { withClient } from '../../lambda/postgres/connection.ts';
import { migrate } from '../../lambda/postgres/schema/schema.ts';
import { useDatabase } from '../support/database.ts';
import { useFunctions } from '../support/function.ts';
import { loginEvent, record, records } from '../support/records.ts';

const database = useDatabase({ empty: true });
const createFunction = useFunctions();

beforeEach(async () => {
  await database.client.query('CREATE SCHEMA IF NOT EXISTS public');
});
afterEach(async () => {
  await database.client.query('DROP SCHEMA public CASCADE');
});

/** As the exercise's image creates it. */
const EXERCISE_TABLE = `CREATE TABLE user_logins (
  user_id varchar(128), device_type varchar(32), masked_ip varchar(256), masked_device_id varchar(256),
  locale varchar(32), app_version integer, create_date date)`;

const COLUMNS = [
  ['user_id', 'character varying(128)'],
  ['device_type', 'character varying(32)'],
  ['masked_ip', 'character varying(256)'],
  ['masked_device_id', 'character varying(256)'],
  ['locale', 'character varying(32)'],
  ['app_version', 'integer'],
  ['create_date', 'date'],
  ['event_id', 'uuid'],
];

async function columns(): Promise<string[][]> {
  const rows = await database.rows<{ name: string; type: string }>(
    `SELECT attname AS name, format_type(atttypid, atttypmod) AS type FROM pg_attribute
     WHERE attrelid = 'user_logins'::regclass AND attnum > 0 ORDER BY attnum`,
  );
  return rows.map(({ name, type }) => [name, type]);
}

describe('the migration', () => {
  it('makes exactly the declared columns, in their order', async () => {
    await migrate(database.client, loginEvents);

    expect(await columns()).toEqual(COLUMNS);
  });

  it('changes nothing the second time', async () => {
    await migrate(database.client, loginEvents);
    await migrate(database.client, loginEvents);

    expect(await columns()).toEqual(COLUMNS);
  });

  it('may run from several places at once', async () => {
    const migrations = Array.from({ length: 5 }, () =>
      withClient(database.login, (client) => migrate(client, loginEvents)),
    );

    await expect(Promise.all(migrations)).resolves.toHaveLength(5);
  });

  it('takes over the table of the exercise with its rows', async () => {
    await database.client.query(EXERCISE_TABLE);
    await database.client.query(`INSERT INTO user_logins VALUES ('u', 'ios', 'a', 'b', NULL, 1, '2023-01-01'),
                                                                ('v', 'ios', 'a', 'c', NULL, 1, '2023-01-01')`);

    await migrate(database.client, loginEvents);
    const { invoke } = createFunction({ databaseUrl: database.url });
    const message = record();
    await invoke([message]);
    await invoke([message]);

    expect(await columns()).toEqual(COLUMNS);
    const rows = await database.rows('SELECT event_id FROM user_logins ORDER BY user_id = $1, user_id', [
      'u',
    ]);
    expect(rows.filter(({ event_id }) => event_id === null)).toHaveLength(2);
    expect(rows).toHaveLength(3);
  });

  it.each([
    [
      'too narrow for tokens',
      EXERCISE_TABLE.replace('masked_ip varchar(256)', 'masked_ip varchar(64)'),
      /column masked_ip expected room for 256 characters, got varchar\(64\)/,
    ],
    [
      'of other types, which binary COPY does not turn into ours',
      EXERCISE_TABLE.replace('app_version integer', 'app_version bigint'),
      /column app_version expected the type integer, got bigint/,
    ],
    [
      'with a number where text is to go',
      EXERCISE_TABLE.replace('user_id varchar(128)', 'user_id integer'),
      /column user_id expected the type varchar\(128\), got integer/,
    ],
    [
      'with a required column that no event fills',
      EXERCISE_TABLE.replace('create_date date', 'create_date date, tenant text NOT NULL'),
      /column tenant is NOT NULL without a default/,
    ],
  ])('refuses a table that is %s and leaves it as it was', async (_name, ddl, message) => {
    await database.client.query(ddl);
    const before = await columns();

    await expect(migrate(database.client, loginEvents)).rejects.toThrow(message);

    expect(await columns()).toEqual(before);
  });

  it('takes over a table whose text is of another kind, and domains', async () => {
    await database.client.query(`
      CREATE DOMAIN version AS integer CHECK (VALUE >= 0);
      ${EXERCISE_TABLE.replace('user_id varchar(128)', 'user_id text')
        .replace('locale varchar(32)', 'locale char(32)')
        .replace('app_version integer', 'app_version version')}`);

    await migrate(database.client, loginEvents);

    const ingest = createFunction({ databaseUrl: database.url });
    expect(await ingest.invoke(records(3))).toEqual([]);
    expect(ingest.log.map(({ message }) => message)).toEqual(['batch']);
    expect(await database.count()).toBe(3);
  });

  it.each([
    ['is not unique', 'CREATE INDEX user_logins_event_key ON user_logins (create_date, event_id)'],
    ['has other columns', 'CREATE UNIQUE INDEX user_logins_event_key ON user_logins (event_id, create_date)'],
    [
      'covers some rows',
      `CREATE UNIQUE INDEX user_logins_event_key ON user_logins (create_date, event_id) WHERE locale = 'RU'`,
    ],
  ])('refuses an index of the right name that %s, because rows would double', async (_name, ddl) => {
    await migrate(database.client, loginEvents);
    await database.client.query(`DROP INDEX user_logins_event_key; ${ddl}`);

    await expect(migrate(database.client, loginEvents)).rejects.toThrow(
      'index user_logins_event_key: expected a valid unique index of user_logins (create_date, event_id)',
    );
  });

  it('gives a table that has none a table of proofs beside it, in silence, and leaves what is in one', async () => {
    await migrate(database.client, loginEvents);
    await database.client.query('DROP TABLE user_logins_keys');

    expect(await migrate(database.client, loginEvents)).toEqual([]);
    await database.client.query(`INSERT INTO user_logins_keys VALUES ('k1', 'proof')`);
    expect(await migrate(database.client, loginEvents)).toEqual([]);

    expect(await database.rows('SELECT * FROM user_logins_keys')).toEqual([{ kid: 'k1', proof: 'proof' }]);
  });

  it.each([
    ['has other columns', 'CREATE TABLE user_logins_keys (kid text PRIMARY KEY, material text)'],
    [
      'has one more',
      'CREATE TABLE user_logins_keys (kid text PRIMARY KEY, proof text, tenant text NOT NULL)',
    ],
    ['is too narrow', 'CREATE TABLE user_logins_keys (kid text PRIMARY KEY, proof varchar(20))'],
    ['has no key', 'CREATE TABLE user_logins_keys (kid text, proof text)'],
    [
      'has a key that ON CONFLICT cannot use',
      'CREATE TABLE user_logins_keys (kid text PRIMARY KEY DEFERRABLE, proof text)',
    ],
    ['is a view', `CREATE VIEW user_logins_keys AS SELECT 'k1' AS kid, 'proof' AS proof`],
  ])('refuses a table of proofs that %s, and leaves it as it was', async (_name, ddl) => {
    await database.client.query(ddl);

    await expect(migrate(database.client, loginEvents)).rejects.toThrow(
      /^table user_logins_keys: expected [^\n]+, got [^\n]+ of that name; rename it$/,
    );

    expect(await database.rows(`SELECT FROM pg_class WHERE relname = 'user_logins'`)).toEqual([]);
  });

  it('adds a column that the declaration has got since', async () => {
    await migrate(database.client, loginEvents);
    const grown: TableDeclaration = {
      ...loginEvents,
      columns: [
        ...loginEvents.columns,
        { column: 'carrier', source: ['carrier'], type: 'text', maxLength: 40, optional: true },
      ],
    };

    await migrate(database.client, grown);
    const { invoke } = createFunction({ databaseUrl: database.url, declaration: grown });
    await invoke([record(loginEvent({ carrier: 'T' }))]);

    expect(await database.rows('SELECT carrier FROM user_logins')).toEqual([{ carrier: 'T' }]);
  });
});

describe('user_login_repeats', () => {
  it('lists every masked value that occurs more than once, and no other', async () => {
    await migrate(database.client, loginEvents);
    const { invoke } = createFunction({ databaseUrl: database.url });
    const login = (user: string, ip: string, device: string, day: number) =>
      record(loginEvent({ user_id: user, ip, device_id: device }), {
        sentTimestamp: String(Date.UTC(2024, 0, day)),
      });

    await invoke([
      login('anna', '203.0.113.7', 'd1', 1),
      login('anna', '::ffff:203.0.113.7', ' d1 ', 3),
      login('bert', '203.0.113.7', 'd2', 2),
      login('carl', '203.0.113.8', 'd3', 2),
    ]);

    const repeats = await database.rows(
      'SELECT kind, logins::int, distinct_users::int, first_date::text, last_date::text FROM user_login_repeats ORDER BY kind',
    );
    expect(repeats).toEqual([
      { kind: 'device_id', logins: 2, distinct_users: 1, first_date: '2024-01-01', last_date: '2024-01-03' },
      { kind: 'ip', logins: 3, distinct_users: 2, first_date: '2024-01-01', last_date: '2024-01-03' },
    ]);
  });
});
