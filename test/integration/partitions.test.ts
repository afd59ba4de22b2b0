import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NO_DEADLINE } from '../../lambda/deadline.ts';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { runRetention } from '../../lambda/partition-keeper.ts';
import { migrate } from '../../lambda/postgres/schema/schema.ts';
import { useDatabase } from '../support/database.ts';
import { useFunctions } from '../support/function.ts';
import { memoryLog } from '../support/log.ts';
import {
  A_DAY,
  compact,
  daysFrom,
  keep,
  partitions,
  recordOf,
  rowsByPartition,
  TODAY,
} from '../support/partitions.ts';
import { loginEvent, record } from '../support/records.ts';

const database = useDatabase({ empty: true });
const createFunction = useFunctions();

beforeEach(async () => {
  await database.client.query('CREATE SCHEMA IF NOT EXISTS public');
  await migrate(database.client, loginEvents, { partitions: { today: TODAY } });
});
afterEach(async () => {
  await database.client.query('DROP SCHEMA public CASCADE');
});

describe('the maintenance', () => {
  it('makes partitions of today and of seven days ahead, and the second time nothing', async () => {
    const first = await keep(database, TODAY, 3);
    const second = await keep(database, TODAY, 3);

    expect(await partitions(database)).toEqual([...daysFrom(TODAY, TODAY + 7), 'default']);
    expect(first.changes).toHaveLength(8);
    expect([first.ahead, second.ahead]).toEqual([8, 8]);
    expect(second.changes).toEqual([]);
  });

  it('gives every partition an index of the name by which a duplicate is known', async () => {
    await keep(database, TODAY, 3);

    const names = [...daysFrom(TODAY, TODAY + 7), 'default'];
    const rows = await database.rows<{ name: string }>(
      `SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'user_logins_event_key'::regclass ORDER BY 1`,
    );
    expect(rows.map(({ name }) => name)).toEqual(names.map((name) => `user_logins_${name}_event_key`));
  });

  it('drops a day when it is older than the retention, and touches no row of the others', async () => {
    const { invoke } = createFunction({ databaseUrl: database.url });
    const rest = () =>
      database.rows(
        'SELECT tableoid::regclass::text, ctid::text, * FROM user_logins WHERE create_date > $1 ORDER BY event_id',
        [compact(TODAY)],
      );
    for (let day = TODAY; day <= TODAY + 3; day++) {
      expect((await keep(database, day, 3)).changes.filter(({ kind }) => kind !== 'made')).toEqual([]);
      expect(await invoke([recordOf(day), recordOf(day)])).toEqual([]);
    }
    const before = await rest();

    const { changes, ahead } = await keep(database, TODAY + 4, 3);

    expect(changes).toEqual([
      { kind: 'made', partition: `user_logins_${compact(TODAY + 11)}`, rows: 0 },
      { kind: 'dropped', partition: `user_logins_${compact(TODAY)}` },
    ]);
    expect(ahead).toBe(8);
    expect(await partitions(database)).toEqual([...daysFrom(TODAY + 1, TODAY + 11), 'default']);
    expect(await rest()).toEqual(before);
    expect(before).toHaveLength(6);
    await invoke([recordOf(TODAY + 4)]);
    expect(await rowsByPartition(database)).toEqual({
      [compact(TODAY + 1)]: 2,
      [compact(TODAY + 2)]: 2,
      [compact(TODAY + 3)]: 2,
      [compact(TODAY + 4)]: 1,
    });
  });

  it('after ten days without a run moves the rows of the days that had no partition, and drops what expired meanwhile', async () => {
    const { invoke } = createFunction({ databaseUrl: database.url });
    await keep(database, TODAY, 5);
    const messages = Array.from({ length: 11 }, (_, i) => recordOf(TODAY + i));
    expect(await invoke(messages)).toEqual([]);
    expect(await rowsByPartition(database)).toMatchObject({ [compact(TODAY + 7)]: 1, default: 3 });

    const { changes, ahead } = await keep(database, TODAY + 10, 5);

    expect(await rowsByPartition(database)).toEqual(
      Object.fromEntries(daysFrom(TODAY + 5, TODAY + 10).map((name) => [name, 1])),
    );
    expect(ahead).toBe(8);
    // Today first, because the ingest waits for it.
    expect(changes[0]).toEqual({ kind: 'made', partition: `user_logins_${compact(TODAY + 10)}`, rows: 1 });
    expect(changes.filter(({ kind }) => kind === 'dropped')).toHaveLength(5);
    expect(await invoke(messages.slice(5).map((message) => ({ ...message })))).toEqual([]);
    expect(await database.count()).toBe(6);
  });

  it('stores an event of long ago and removes it with the next run, and keeps one of the year 2099 until then', async () => {
    const { invoke } = createFunction({ databaseUrl: database.url });
    await keep(database, TODAY, 3);
    const at = (EventTime: string) => record(loginEvent(), { attributes: { EventTime } });
    const messages = [
      at('1999-12-31'),
      at('2099-01-01T12:00:00Z'),
      recordOf(TODAY - 4),
      recordOf(TODAY - 3),
      recordOf(TODAY),
    ];

    expect(await invoke(messages)).toEqual([]);
    expect(await rowsByPartition(database)).toEqual({ [compact(TODAY)]: 1, default: 4 });
    const { changes } = await keep(database, TODAY, 3);

    expect(changes).toEqual([
      { kind: 'deleted', rows: 2 },
      { kind: 'made', partition: `user_logins_${compact(TODAY - 3)}`, rows: 1 },
    ]);
    expect(await rowsByPartition(database)).toEqual({
      [compact(TODAY - 3)]: 1,
      [compact(TODAY)]: 1,
      default: 1,
    });
    await keep(database, Date.UTC(2098, 11, 28) / 86_400_000, 3);
    expect(await rowsByPartition(database)).toEqual({ 20990101: 1 });
  });

  it('counts partitions that were made by hand, whatever they are called, and reads dates as the session writes them', async () => {
    await database.client.query(`SET datestyle = 'SQL, DMY'`);
    await database.client.query(
      `CREATE TABLE november PARTITION OF user_logins FOR VALUES FROM ('2023-11-01') TO ('2023-12-01')`,
    );

    expect(await keep(database, TODAY, 3)).toEqual({ ahead: 8, changes: [] });
    const { changes } = await keep(database, TODAY + 20, 3);

    await database.client.query('RESET datestyle');
    expect(changes.at(-1)).toEqual({ kind: 'dropped', partition: 'november' });
  });

  it('drops what is too old though a partition cannot be made, because something has its name', async () => {
    const { invoke } = createFunction({ databaseUrl: database.url });
    await keep(database, TODAY, 3);
    await invoke([recordOf(TODAY), recordOf(TODAY - 1000), recordOf(TODAY - 1)]);
    await database.client.query(`CREATE TABLE user_logins_${compact(TODAY - 1)} ()`);

    await expect(keep(database, TODAY, 3)).rejects.toMatchObject({ code: '42P07' });

    expect(await rowsByPartition(database)).toEqual({ [compact(TODAY)]: 1, default: 1 });
  });

  it('keeps a day on which something depends, and says what to do', async () => {
    await keep(database, TODAY, 3);
    await database.client.query(`CREATE VIEW theirs AS SELECT user_id FROM user_logins_${compact(TODAY)}`);
    const target = { login: database.login, retentionDays: 3, now: (TODAY + 4) * A_DAY };

    await expect(runRetention(loginEvents, target, memoryLog().log, NO_DEADLINE)).rejects.toThrow(
      /^partitions of user_logins were not kept up; .* a view or a key depends on a partition .* \(2BP01\)$/,
    );

    expect(await partitions(database)).toContain(compact(TODAY));
  });

  it('refuses a plain table with one line', async () => {
    await database.client.query('DROP TABLE user_logins CASCADE');
    await migrate(database.client, loginEvents);

    await expect(keep(database, TODAY, 3)).rejects.toThrow(
      'table user_logins: expected to be partitioned by date, got a plain one or none; run the migration with retentionDays',
    );
  });
});

describe('the ingest of a partitioned table', () => {
  beforeEach(async () => {
    await keep(database, TODAY, 3);
  });

  it('stores a batch across midnight, and each event once however often and in whatever company it comes', async () => {
    const { invoke, reports } = createFunction({ databaseUrl: database.url });
    const midnight = (TODAY + 1) * 86_400_000;
    const batch = Array.from({ length: 100 }, (_, i) =>
      record(loginEvent({ device_id: `device-${i}` }), { sentTimestamp: String(midnight - 50 + i) }),
    );

    expect(await invoke(batch)).toEqual([]);
    const again = batch.map((message) => ({
      ...message,
      attributes: { ...message.attributes, ApproximateReceiveCount: '2' },
    }));
    expect(await invoke(again)).toEqual([]);
    // As new to SQS as the rest: COPY meets them.
    expect(await invoke([...batch.slice(40, 60), recordOf(TODAY)])).toEqual([]);

    expect(await rowsByPartition(database)).toEqual({ [compact(TODAY)]: 51, [compact(TODAY + 1)]: 50 });
    expect(reports.map(({ stored, duplicates }) => [stored, duplicates])).toEqual([
      [100, 0],
      [0, 100],
      [1, 20],
    ]);
  });

  it('rejects exactly the row that a rule of the table refuses, in whichever partition', async () => {
    await database.client.query(`ALTER TABLE user_logins ADD CONSTRAINT no_fax CHECK (device_type <> 'fax')`);
    const { invoke, reports } = createFunction({ databaseUrl: database.url });
    const fax = (day: number) =>
      record(loginEvent({ device_type: 'fax' }), { sentTimestamp: String(day * 86_400_000) });
    const bad = [fax(TODAY), fax(TODAY + 1), fax(TODAY - 1000)];

    const failed = await invoke([recordOf(TODAY), ...bad, recordOf(TODAY + 1), recordOf(TODAY - 1000)]);

    expect(failed.toSorted()).toEqual(bad.map(({ messageId }) => messageId).toSorted());
    expect(reports[0]?.rejected.map(({ field, code }) => [field, code])).toEqual(
      bad.map(() => ['no_fax', '23514']),
    );
    expect(await database.count()).toBe(3);
  });

  it.each([
    ['the maintenance', () => keep(database, TODAY, 400)],
    ['the migration', () => migrate(database.client, loginEvents, { partitions: { today: TODAY } })],
  ])('knows duplicates in partitions that were made by hand, from %s on', async (_name, look) => {
    await database.client.query(
      `CREATE TABLE "By Hand" PARTITION OF user_logins FOR VALUES FROM ('2023-10-01') TO ('2023-11-01');
       CREATE TABLE older PARTITION OF user_logins FOR VALUES FROM (MINVALUE) TO ('2023-10-01')`,
    );
    await look();
    const { invoke, reports } = createFunction({ databaseUrl: database.url });
    const batch = [recordOf(TODAY - 30), recordOf(TODAY - 100)];
    expect(await invoke(batch)).toEqual([]);

    // As new to SQS as the rest: COPY meets them.
    expect(await invoke([...batch, recordOf(TODAY - 30)])).toEqual([]);

    expect(reports.at(-1)).toMatchObject({ stored: 1, duplicates: 2 });
    expect((await keep(database, TODAY, 400)).changes).toEqual([]);
  });

  it('counts repeats over all partitions', async () => {
    const { invoke } = createFunction({ databaseUrl: database.url });

    await invoke([recordOf(TODAY), recordOf(TODAY + 1), recordOf(TODAY - 1000)]);

    const rows = await database.rows(`SELECT kind, logins::int FROM user_login_repeats ORDER BY kind`);
    expect(rows).toEqual([
      { kind: 'device_id', logins: 3 },
      { kind: 'ip', logins: 3 },
    ]);
  });
});
