import type { SQSRecord } from 'aws-lambda';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { idempotencyIndex } from '../../lambda/postgres/schema/table.ts';
import { record } from '../support/records.ts';
import { type Benchmark, count, type Figure, type Unit } from './benchmark.ts';
import { type BenchDatabase, freshBatch } from './database.ts';
import { serverCpuClock } from './footprint-cpu.ts';
import type { Stage } from './stage.ts';
import { spreadOf } from './statistics.ts';

/** Names of the figures of each size of batch, all of them for an event. */
export const OF_A_BATCH = {
  functionCpu: (size: number) => `processor time of the function, batches of ${count(size)}`,
  serverCpu: (size: number) => `processor time of the server, batches of ${count(size)}`,
  wal: (size: number) => `write-ahead log, batches of ${count(size)}`,
} as const;

/** Names of the figures of what is stored, for an event. */
export const STORED = {
  table: 'table',
  index: 'index',
  indexOfOrderedIds: 'index, where ids grow with time',
} as const;

export const benchmark: Benchmark = {
  title: 'what one event costs: processor time, write-ahead log, disk',
  note: "The server's processor time is read from /proc, so only on Linux. `npm run scaling` reckons with these.",
  run: (stage) =>
    stage.withDatabase(async (database) => {
      const figures: Figure[] = [];
      for (const size of stage.sizes([10, 100, 1_000, 10_000])) {
        figures.push(...(await ofBatches(stage, database, size)));
      }
      return [...figures, ...(await stored(stage, database))];
    }),
};

interface Cost {
  functionCpu: number;
  serverCpu: number | undefined;
  wal: number;
}

async function ofBatches(stage: Stage, database: BenchDatabase, size: number): Promise<Figure[]> {
  // So many that a clock of 10 ms a tick tells.
  const batches = Math.ceil((stage.quick ? 1_000 : 50_000) / size);
  const rounds = stage.quick ? 1 : 5;
  stage.progress.begin(`footprint of ${count(size)} rows`, rounds + 1);
  const costs: Cost[] = [];
  for (let round = 0; round <= rounds; round++) {
    const cost = await costOf(database, batches, size);
    if (round > 0) costs.push(cost);
    stage.progress.advance(1);
  }
  stage.progress.end();
  const figure = (name: keyof Cost, unit: Unit): Figure[] => {
    const sample = costs.map((cost) => cost[name]).filter((value) => value !== undefined);
    return sample.length === 0 ? [] : [{ what: OF_A_BATCH[name](size), unit, value: spreadOf(sample) }];
  };
  return [...figure('functionCpu', 'µs'), ...figure('serverCpu', 'µs'), ...figure('wal', 'B')];
}

/** @returns averages, an event */
async function costOf(database: BenchDatabase, batches: number, size: number): Promise<Cost> {
  await database.empty();
  const serverCpu = await serverCpuClock(database.client);
  const before = { wal: await walPosition(database), server: serverCpu?.() ?? 0 };
  let functionCpu = 0;
  for (let batch = 0; batch < batches; batch++) {
    const events = freshBatch(size);
    const start = process.cpuUsage();
    await database.invoke(events);
    const { user, system } = process.cpuUsage(start);
    functionCpu += user + system;
  }
  const events = batches * size;
  return {
    functionCpu: functionCpu / events,
    serverCpu: serverCpu && (serverCpu() - before.server) / events,
    wal: ((await walPosition(database)) - before.wal) / events,
  };
}

/** Bytes of log written so far. */
async function walPosition({ client }: BenchDatabase): Promise<number> {
  const { rows } = await client.query<{ position: number }>(
    "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8 AS position",
  );
  return rows[0]!.position;
}

async function stored({ quick, largest }: Stage, database: BenchDatabase): Promise<Figure[]> {
  const batches = quick ? 1 : 20;
  const random = await sizesAfter(database, batches, () => freshBatch(largest));
  let id = 0;
  const ordered = await sizesAfter(database, batches, () =>
    freshBatch(largest).map((event) => withId(event, orderedId(id++))),
  );
  const figure = (what: string, bytes: number): Figure => ({ what, unit: 'B', value: spreadOf([bytes]) });
  return [
    figure(STORED.table, random.table),
    figure(STORED.index, random.index),
    figure(STORED.indexOfOrderedIds, ordered.index),
  ];
}

/** Bytes an event. */
async function sizesAfter(
  database: BenchDatabase,
  batches: number,
  batch: () => SQSRecord[],
): Promise<{ table: number; index: number }> {
  await database.empty();
  let events = 0;
  for (let i = 0; i < batches; i++) {
    const next = batch();
    await database.invoke(next);
    events += next.length;
  }
  const { rows } = await database.client.query<{ table: number; index: number }>(
    'SELECT pg_table_size($1::regclass)::float8 / $3 AS table, pg_relation_size($2::regclass)::float8 / $3 AS index',
    [loginEvents.table, idempotencyIndex(loginEvents), events],
  );
  return rows[0]!;
}

function withId({ body, attributes }: SQSRecord, EventId: string): SQSRecord {
  return record(body, { sentTimestamp: attributes.SentTimestamp, attributes: { EventId } });
}

/** A UUID of version 7 in its form, with a number in the place of the time. */
function orderedId(n: number): string {
  return `${n
    .toString(16)
    .padStart(12, '0')
    .replace(/^(.{8})/, '$1-')}-7000-8000-000000000000`;
}
