import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TableDeclaration } from '../../lambda/events/declaration.ts';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { runMigration } from '../../lambda/migration.ts';
import { migrate } from '../../lambda/postgres/schema/schema.ts';
import { useDatabase } from '../support/database.ts';
import { useFunctions } from '../support/function.ts';
import { memoryLog } from '../support/log.ts';
import {
  compact,
  daysFrom,
  keep,
  partitions,
  recordOf,
  rowsByPartition,
  TODAY,
} from '../support/partitions.ts';
import { loginEvent, record } from '../support/records.ts';
import { grants, uniqueRoles } from '../support/roles.ts';
import { tlsLogin } from '../support/tls.ts';

const database = useDatabase({ empty: true });
const createFunction = useFunctions();
const roles = uniqueRoles();
const PARTITIONED = { partitions: { today: TODAY } };

beforeEach(async () => {
  await database.client.query('CREATE SCHEMA IF NOT EXISTS public');
});
afterEach(async () => {
  await database.client.query('DROP SCHEMA public CASCADE');
});

/** As the exercise's image creates it, with what somebody added since. */
const OLD_TABLE = `CREATE TABLE user_logins (
  user_id varchar(128) NOT NULL, device_type varchar(32), masked_ip varchar(256), masked_device_id varchar(256),
  locale varchar(32), app_version integer, create_date date,
  tenant text NOT NULL DEFAULT 'main' CHECK (tenant <> ''), stored_at timestamptz DEFAULT now())`;
const OLD_ROWS = `INSERT INTO user_logins (user_id, masked_ip, create_date)
  SELECT 'u' || day, 'a', DATE '1970-01-01' + day FROM unnest($1::int[]) AS day`;

async function columns(): Promise<unknown[]> {
  return database.rows(
    `SELECT attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid) AS default
     FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
     WHERE attrelid = 'user_logins'::regclass AND attnum > 0 ORDER BY attnum`,
  );
}

describe('a deployment with retention', () => {
  it('takes a plain table over with its rows, its columns and what they may hold', async () => {
    await database.client.query(OLD_TABLE);
    await database.client.query(OLD_ROWS, [[TODAY - 100, TODAY - 1, TODAY, TODAY + 1, TODAY + 30_000]]);
    await migrate(database.client, loginEvents);
    const before = await columns();

    const created = await migrate(database.client, loginEvents, PARTITIONED);

    expect(created).toEqual(['partition user_logins_history']);
    expect(await columns()).toEqual(before);
    expect(await rowsByPartition(database)).toEqual({ default: 2, history: 3 });
    await expect(
      database.client.query(`INSERT INTO user_logins (user_id, tenant) VALUES ('v', '')`),
    ).rejects.toThrow();
    // It is kept until its last day is not.
    await keep(database, TODAY, 3);
    expect(await rowsByPartition(database)).toEqual({ [compact(TODAY + 1)]: 1, default: 1, history: 3 });
    await keep(database, TODAY + 3, 3);
    expect(await partitions(database)).toContain('history');
    expect((await keep(database, TODAY + 4, 3)).changes.at(-1)).toEqual({
      kind: 'dropped',
      partition: 'user_logins_history',
    });
    expect(await rowsByPartition(database)).toEqual({ [compact(TODAY + 1)]: 1, default: 1 });
  });

  it('goes on as one table: what was stored before is a duplicate, what is new is stored, repeats are counted over both', async () => {
    await migrate(database.client, loginEvents);
    const { invoke, reports } = createFunction({ databaseUrl: database.url });
    const before = [recordOf(TODAY - 1), recordOf(TODAY)];
    await invoke(before);

    await migrate(database.client, loginEvents, PARTITIONED);
    await keep(database, TODAY, 3);

    expect(await invoke([...before, recordOf(TODAY), recordOf(TODAY + 1)])).toEqual([]);
    expect(reports.at(-1)).toMatchObject({ stored: 2, duplicates: 2 });
    const repeats = await database.rows(`SELECT logins::int FROM user_login_repeats WHERE kind = 'ip'`);
    expect(repeats).toEqual([{ logins: 4 }]);
    const indexes = await database.rows<{ name: string }>(
      `SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'user_logins_event_key'::regclass ORDER BY 1`,
    );
    expect(indexes.map(({ name }) => name)).toContain('user_logins_history_event_key');
  });

  it('changes nothing the second time, nor when a migration without a word of partitions follows', async () => {
    await migrate(database.client, loginEvents, PARTITIONED);
    await keep(database, TODAY, 3);
    const before = await partitions(database);

    expect(await migrate(database.client, loginEvents, { partitions: { today: TODAY + 1 } })).toEqual([]);
    expect(await migrate(database.client, loginEvents)).toEqual([]);

    expect(await partitions(database)).toEqual(before);
  });

  it('makes a default partition again where somebody dropped it', async () => {
    await migrate(database.client, loginEvents, PARTITIONED);
    await database.client.query('DROP TABLE user_logins_default');
    await expect(keep(database, TODAY, 3)).rejects.toMatchObject({ code: '42P01' });

    expect(await migrate(database.client, loginEvents, PARTITIONED)).toEqual([]);

    expect((await keep(database, TODAY, 3)).ahead).toBe(8);
    expect(await partitions(database)).toContain('default');
  });

  it("keeps an analyst's index, on the partitions that come as well", async () => {
    await migrate(database.client, loginEvents);
    await database.client.query('CREATE INDEX by_user ON user_logins (user_id)');

    await migrate(database.client, loginEvents, PARTITIONED);
    await keep(database, TODAY, 3);

    const rows = await database.rows(
      `SELECT indrelid::regclass::text FROM pg_index WHERE pg_get_indexdef(indexrelid) LIKE '%(user_id)'
         AND indrelid <> 'user_logins'::regclass AND indisvalid`,
    );
    expect(rows).toHaveLength((await partitions(database)).length);
  });

  it('leaves everybody what they were granted, and the roles exactly theirs', async () => {
    await migrate(database.client, loginEvents, { roles });
    const analyst = `analyst_of_${roles.writer}`;
    await database.client.query(
      `CREATE ROLE ${analyst}; GRANT SELECT (user_id), DELETE ON user_logins TO ${analyst} WITH GRANT OPTION;
       GRANT SELECT ON user_login_repeats TO ${analyst}`,
    );
    const granted = () =>
      database.rows(
        `SELECT table_name, privilege_type, column_name, is_grantable FROM information_schema.column_privileges
         WHERE grantee = $1 AND table_schema = 'public'
         UNION ALL SELECT table_name, privilege_type, '', is_grantable FROM information_schema.table_privileges
         WHERE grantee = $1 AND table_schema = 'public' ORDER BY 1, 2, 3`,
        [analyst],
      );
    const [mine, theirs] = [await granted(), await grants(database, roles)];

    await migrate(database.client, loginEvents, { ...PARTITIONED, roles });

    expect(await granted()).toEqual(mine);
    expect(await grants(database, roles)).toEqual(theirs);
    await database.client.query(
      `DROP OWNED BY ${analyst}, ${roles.writer}, ${roles.reader}; DROP ROLE ${analyst}`,
    );
  });

  it('lets the writer store, find duplicates and reject as before, and read no more than before', async () => {
    await migrate(database.client, loginEvents, { ...PARTITIONED, roles });
    await keep(database, TODAY, 3);
    await database.client.query(`ALTER ROLE ${roles.writer} PASSWORD 'writer'`);
    const login = {
      ...tlsLogin(database.url),
      user: roles.writer,
      password: () => Promise.resolve('writer'),
    };
    const { invoke, reports } = createFunction({ login });
    const bad = record(loginEvent({ user_id: undefined }));
    const batch = [recordOf(TODAY), recordOf(TODAY + 1), recordOf(TODAY - 1000)];

    expect(await invoke([...batch, bad])).toEqual([bad.messageId]);
    expect(await invoke(batch)).toEqual([]);

    expect(reports.map(({ stored, duplicates }) => [stored, duplicates])).toEqual([
      [3, 0],
      [0, 3],
    ]);
    await database.client.query(`SET ROLE ${roles.writer}`);
    for (const table of ['user_logins', `user_logins_${compact(TODAY)}`, 'user_logins_default']) {
      await expect(database.client.query(`SELECT masked_ip FROM ${table}`)).rejects.toMatchObject({
        code: '42501',
      });
    }
    await database.client.query(`RESET ROLE; DROP OWNED BY ${roles.writer}, ${roles.reader}`);
  });

  it('has partitions from the first day, and adds a column that the declaration has got since to all of them', async () => {
    const { log, lines } = memoryLog();
    await runMigration(loginEvents, { login: database.login, ...PARTITIONED }, log);
    const grown: TableDeclaration = {
      ...loginEvents,
      columns: [
        ...loginEvents.columns,
        { column: 'carrier', source: ['carrier'], type: 'text', maxLength: 40, optional: true },
      ],
    };

    await migrate(database.client, grown, PARTITIONED);
    const { invoke } = createFunction({ databaseUrl: database.url, declaration: grown });
    await invoke([record(loginEvent({ carrier: 'T' })), recordOf(TODAY + 8)]);
    await keep(database, TODAY + 1, 3);

    expect(await partitions(database)).toEqual([...daysFrom(TODAY, TODAY + 8), 'default']);
    expect(lines.map(({ message }) => message)).toEqual([
      'created table user_logins',
      ...daysFrom(TODAY, TODAY + 7).map((day) => `made partition user_logins_${day}`),
      'user_logins is up to date',
    ]);
    expect(await database.rows('SELECT carrier FROM user_logins ORDER BY 1')).toEqual([
      { carrier: 'T' },
      { carrier: null },
    ]);
    expect(await rowsByPartition(database)).toEqual({ [compact(TODAY)]: 1, [compact(TODAY + 8)]: 1 });
  });
});

describe('a deployment without retention', () => {
  it('refuses a table that is partitioned by date, because nobody would make partitions', async () => {
    await migrate(database.client, loginEvents, PARTITIONED);

    await expect(runMigration(loginEvents, { login: database.login }, memoryLog().log)).rejects.toThrow(
      'table user_logins: expected a plain table without retentionDays, got a partitioned one, whose partitions nobody would make; deploy with -c retentionDays=…',
    );
  });

  it('makes a plain table, and leaves one that is partitioned by its event_id to whoever did that', async () => {
    await runMigration(loginEvents, { login: database.login }, memoryLog().log);
    expect(await database.rows(`SELECT relkind FROM pg_class WHERE relname = 'user_logins'`)).toEqual([
      { relkind: 'r' },
    ]);
    await database.client.query('DROP TABLE user_logins CASCADE');
    await database.client.query(
      `${OLD_TABLE.replace('create_date date', 'create_date date, event_id uuid')} PARTITION BY HASH (event_id);
       CREATE TABLE theirs PARTITION OF user_logins FOR VALUES WITH (MODULUS 1, REMAINDER 0)`,
    );

    await runMigration(loginEvents, { login: database.login }, memoryLog().log);

    await expect(migrate(database.client, loginEvents, PARTITIONED)).rejects.toThrow(
      'table user_logins: expected to be partitioned by RANGE (create_date), got another key; make it anew, or do without retentionDays',
    );
  });
});
