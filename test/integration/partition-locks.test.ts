import { Client } from 'pg';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { NO_DEADLINE } from '../../lambda/deadline.ts';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { runRetention } from '../../lambda/partition-keeper.ts';
import { withClient } from '../../lambda/postgres/connection.ts';
import { keepPartitions } from '../../lambda/postgres/partitions/partitions.ts';
import { changeSchema } from '../../lambda/postgres/schema/change.ts';
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

const database = useDatabase({ empty: true });
const createFunction = useFunctions();
const N = 3;

/** Of analysts; what they have open ends with the test. */
const others: Client[] = [];
async function connect(): Promise<Client> {
  const client = new Client({ connectionString: database.url });
  await client.connect();
  others.push(client);
  return client;
}

beforeEach(async () => {
  await database.client.query('CREATE SCHEMA IF NOT EXISTS public');
  await migrate(database.client, loginEvents, { partitions: { today: TODAY } });
});
afterEach(async () => {
  await Promise.all(others.splice(0).map((client) => client.end()));
  await database.client.query('DROP SCHEMA public CASCADE');
});

/** Process ids of the sessions of this database that wait for a lock. */
async function untilWaiting(): Promise<number[]> {
  return vi.waitFor(async () => {
    const rows = await database.rows<{ pid: number }>(
      `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
    );
    expect(rows).not.toEqual([]);
    return rows.map(({ pid }) => pid);
  }, 20_000);
}

describe('the maintenance beside others', () => {
  it('loses, doubles and fails nothing of a handler that writes meanwhile, from day to day', {
    timeout: 120_000,
  }, async () => {
    const writers = [1, 2, 3].map(() => createFunction({ databaseUrl: database.url }));
    let today = TODAY;
    const sent: { day: number; id: string }[] = [];
    let running = true;
    const writing = writers.map(async ({ invoke }) => {
      while (running) {
        // Of today, around midnight, of a day without a partition, and one that comes a second time.
        const days = [today, today, today + 1, today - N, today + 60];
        const batch = days.flatMap((day) => [recordOf(day), recordOf(day)]);
        expect(await invoke([...batch, ...batch.slice(0, 3)])).toEqual([]);
        sent.push(...batch.map(({ messageId }, i) => ({ day: days[i >> 1]!, id: messageId })));
      }
    });

    for (; today < TODAY + N + 3; today++) {
      const before = sent.length;
      await vi.waitFor(() => expect(sent.length).toBeGreaterThan(before + 60), 20_000);
      expect((await keep(database, today, N)).ahead).toBe(8);
    }
    running = false;
    await Promise.all(writing);
    await keep(database, today, N);

    const kept = sent.filter(({ day }) => day >= today - N).map(({ id }) => id);
    const stored = await database.rows<{ id: string }>('SELECT event_id::text AS id FROM user_logins');
    expect(stored.map(({ id }) => id).toSorted()).toEqual(kept.toSorted());
    expect(sent.length).toBeGreaterThan(kept.length);
    expect(writers.flatMap(({ failures }) => failures)).toEqual([]);
  });

  it('may run several times at once: each partition is made and dropped by one of them', async () => {
    await keep(database, TODAY, N);
    const { invoke } = createFunction({ databaseUrl: database.url });
    await invoke(daysFrom(0, 5).map((_, i) => recordOf(TODAY - i)));

    const runs = await Promise.all([1, 2, 3].map(() => keep(database, TODAY + 5, N)));

    const done = runs.flatMap(({ changes }) => changes.filter((change) => 'partition' in change));
    const names = done.map(({ kind, partition }) => `${kind} ${partition}`);
    expect(names).toHaveLength(new Set(names).size);
    expect(await partitions(database)).toEqual([...daysFrom(TODAY + 2, TODAY + 12), 'default']);
    expect(runs.map(({ ahead }) => ahead)).toEqual([8, 8, 8]);
  });
});

describe('a maintenance that is cut off', () => {
  it('in the middle of a partition leaves the rows where they were, and goes on there', async () => {
    const { invoke } = createFunction({ databaseUrl: database.url });
    await invoke([recordOf(TODAY), recordOf(TODAY), recordOf(TODAY - 1)]);
    const holder = await connect();
    await holder.query('SELECT pg_advisory_lock(1)');
    await database.client.query(
      `CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_lock(1); RETURN OLD; END';
       CREATE TRIGGER wait BEFORE DELETE ON user_logins_default FOR EACH ROW EXECUTE FUNCTION wait()`,
    );
    const killed = expect(keep(database, TODAY, N, 20_000)).rejects.toMatchObject({
      name: 'DatabaseFailure',
      code: '57P01',
    });
    const [pid] = await untilWaiting();

    await database.client.query('SELECT pg_terminate_backend($1)', [pid]);

    await killed;
    expect(await rowsByPartition(database)).toEqual({ default: 3 });
    expect(await partitions(database)).toEqual(['default']);
    await holder.query('SELECT pg_advisory_unlock(1)');
    await database.client.query('DROP TRIGGER wait ON user_logins_default');
    expect((await keep(database, TODAY, N)).ahead).toBe(8);
    expect(await rowsByPartition(database)).toEqual({ [compact(TODAY - 1)]: 1, [compact(TODAY)]: 2 });
  });

  it('between any two changes has each of them whole, and the next run does the rest', async () => {
    const { invoke } = createFunction({ databaseUrl: database.url });
    await keep(database, TODAY, N);
    await invoke([0, 1, 5, 8, 9].map((day) => recordOf(TODAY + day)));
    const keepOnce = { today: TODAY + 9, retentionDays: N, ahead: 7 };
    const stopAt = (client: Client, kinds: string[]) =>
      keepPartitions(client, loginEvents, keepOnce, ({ kind }) => {
        kinds.push(kind);
        throw new Error('cut off');
      });

    const kinds: string[] = [];
    const client = await connect();
    for (let ended = false; !ended; ) {
      ended = await stopAt(client, kinds).then(
        () => true,
        (error: Error) => {
          expect(error.message).toBe('cut off');
          return false;
        },
      );
    }

    // Nine days ahead of the last run; one that was late; six that expired.
    expect(kinds.filter((kind) => kind === 'made')).toHaveLength(10 - 1);
    expect(kinds.filter((kind) => kind === 'dropped')).toHaveLength(6);
    expect(await rowsByPartition(database)).toEqual({ [compact(TODAY + 8)]: 1, [compact(TODAY + 9)]: 1 });
  });
});

describe('a lock that an analyst holds', () => {
  const now = (TODAY + N + 1) * A_DAY;

  beforeEach(async () => {
    await keep(database, TODAY, N);
    const { invoke } = createFunction({ databaseUrl: database.url });
    await invoke([recordOf(TODAY), recordOf(TODAY + N + 1)]);
  });

  it('keeps the ingest waiting no longer than one attempt does, and the maintenance gives up', async () => {
    const analyst = await connect();
    await analyst.query('BEGIN; SELECT count(*) FROM user_logins');
    const failed = expect(keep(database, TODAY + N + 1, N, 300)).rejects.toMatchObject({ code: '55P03' });
    let ended = false;
    failed.finally(() => {
      ended = true;
    });
    const { invoke, failures } = createFunction({ databaseUrl: database.url });
    const waits: number[] = [];

    while (!ended) {
      const start = performance.now();
      expect(await invoke([recordOf(TODAY + N + 1)])).toEqual([]);
      waits.push(performance.now() - start);
    }

    await failed;
    expect(failures).toEqual([]);
    // One attempt waits 300 ms; all of them, and the pauses between, take 1.5 s.
    expect(Math.max(...waits)).toBeLessThan(1_200);
    await analyst.query('COMMIT');
    expect((await keep(database, TODAY + N + 1, N)).changes.at(-1)?.kind).toBe('dropped');
  });

  it('is waited for again, and the maintenance succeeds when it is free', async () => {
    const analyst = await connect();
    await analyst.query(`BEGIN; SELECT count(*) FROM user_logins`);
    const run = keep(database, TODAY + N + 1, N, 300);
    await untilWaiting();
    await vi.waitFor(async () => {
      const rows = await database.rows(
        `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
      );
      expect(rows).toEqual([]);
    }, 20_000);

    await analyst.query('COMMIT');

    expect((await run).changes.at(-1)).toEqual({
      kind: 'dropped',
      partition: `user_logins_${compact(TODAY)}`,
    });
  });

  it('is told of in one line that says what to do', async () => {
    const analyst = await connect();
    await analyst.query(`BEGIN; SELECT count(*) FROM user_logins`);
    const end = performance.now() + 2_000;
    const deadline = { remaining: () => Math.max(0, end - performance.now()) };
    const { log, lines } = memoryLog();

    await expect(
      runRetention(loginEvents, { login: database.login, retentionDays: N, now }, log, deadline),
    ).rejects.toThrow(/^partitions of user_logins were not kept up; [^\n]+ \((55P03|57014)\)$/);

    expect(lines).toEqual([]);
    await analyst.query('COMMIT');
    await runRetention(loginEvents, { login: database.login, retentionDays: N, now }, log, NO_DEADLINE);
    expect(lines).toContainEqual({
      level: 'info',
      message: `dropped partition user_logins_${compact(TODAY)}`,
    });
  });
});

describe('the maintenance that is frozen in the middle of a change', () => {
  it('lets go of its locks when its time is over, and is missed where the network has lost it', async () => {
    const locks = () =>
      database.rows(
        `SELECT FROM pg_locks WHERE relation = 'user_logins'::regclass AND mode = 'ExclusiveLock'`,
      );
    const settings: unknown[] = [];
    let freed = false;

    const change = withClient(database.login, (client) =>
      changeSchema(client, loginEvents, { deadline: { remaining: () => 1_000 } }, async (run) => {
        await run('LOCK TABLE user_logins IN EXCLUSIVE MODE');
        settings.push((await run(`SELECT current_setting('tcp_keepalives_idle') AS idle`)).rows[0]);
        expect(await locks()).toHaveLength(1);
        await vi.waitFor(async () => expect(await locks()).toEqual([]), 20_000);
        freed = true;
      }),
    );

    await expect(change).rejects.toThrow();
    expect(freed).toBe(true);
    expect(settings).toEqual([{ idle: '30' }]);
  });
});
