import { setTimeout as sleep } from 'node:timers/promises';
import type { SQSRecord } from 'aws-lambda';
import type { ClientBase } from 'pg';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { createFunction } from '../../lambda/function.ts';
import type { Keyset } from '../../lambda/masking/keyset.ts';
import type { Rotation } from '../../lambda/masking/retoken.ts';
import { withClient } from '../../lambda/postgres/connection.ts';
import { fillAliases } from '../../lambda/postgres/rekey/aliases.ts';
import { rekey } from '../../lambda/postgres/rekey/rekey.ts';
import { loginEvent, record } from '../support/records.ts';
import { KEYSETS } from '../support/rekey.ts';
import { type Benchmark, compared, count, type Figure, type Unit } from './benchmark.ts';
import { type BenchDatabase, freshBatch } from './database.ts';
import { timed } from './rounds.ts';
import type { Stage } from './stage.ts';
import { spreadOf } from './statistics.ts';

const ROWS = { full: 1_000_000, quick: 20_000 };
/** A million rows in three minutes. */
const MILLISECONDS_A_ROW = 0.18;
const BATCH_SIZE = 2_000;
const INGEST_ROWS = 1_000;
const INGEST_PAUSE = 200;
const VIEW_ROUNDS = 3;

export const benchmark: Benchmark = {
  title: 'a rekey of the table, alone and while a handler writes; the views with aliases and without',
  note: `Three of ten addresses and eight of ten devices are distinct. The handler writes ${count(INGEST_ROWS)} rows every ${INGEST_PAUSE} ms.`,
  run: (stage) =>
    stage.withDatabase(async (database) => {
      const rows = stage.quick ? ROWS.quick : ROWS.full;
      await fill(stage, database, rows);
      const views = await measureViews(stage, database);
      const before = await sizes(database);
      const alone = await rewrite(stage, database, { from: 'k1', to: 'k2' }, KEYSETS.k2);
      const after = await sizes(database);
      return [
        took(`${count(rows)} rows, nobody else writes`, rows, alone),
        ...(await whileWritten(stage, database, rows)),
        ...Object.keys(before).map((relation) => grew(relation, before[relation]!, after[relation]!)),
        ...views,
      ];
    }),
};

function took(what: string, rows: number, milliseconds: number): Figure {
  const aim = { atMost: rows * MILLISECONDS_A_ROW };
  return { what, unit: 'ms', value: spreadOf([milliseconds]), rows, aim };
}

function grew(relation: string, before: number, after: number): Figure {
  const unit: Unit = 'MB';
  const base = { what: 'before', value: spreadOf([before]), ratio: spreadOf([after / before]) };
  return { what: `${relation} afterwards, before it is vacuumed`, unit, value: spreadOf([after]), base };
}

async function fill(stage: Stage, { invoke }: BenchDatabase, rows: number): Promise<void> {
  stage.progress.begin('rows under the old key', rows);
  for (let first = 0; first < rows; first += stage.largest) {
    await invoke(Array.from({ length: stage.largest }, (_, i) => event(first + i, rows)));
    stage.progress.advance(stage.largest);
  }
  stage.progress.end();
}

function event(n: number, rows: number): SQSRecord {
  const address = n % Math.ceil(rows * 0.3);
  const device = n % Math.ceil(rows * 0.8);
  const ip = `10.${(address >> 16) & 255}.${(address >> 8) & 255}.${address & 255}`;
  return record(loginEvent({ ip, device_id: `device-${device}` }), { sentTimestamp: String(Date.now()) });
}

async function rewrite(
  { progress }: Stage,
  { login, client: looking }: BenchDatabase,
  rotation: Rotation,
  keyset: Keyset,
): Promise<number> {
  await looking.query('CHECKPOINT');
  return timed(() =>
    withClient(login, (client) =>
      rekey(client, loginEvents, keyset, {
        rotation,
        rows: Number.POSITIVE_INFINITY,
        batchSize: BATCH_SIZE,
        signal: new AbortController().signal,
        progress: { ...progress, note: () => {} },
        onBatch: () => {},
      }),
    ),
  );
}

/** The next rotation, with a function that has the new key already. */
async function whileWritten(stage: Stage, database: BenchDatabase, rows: number): Promise<Figure[]> {
  const source = {
    login: database.login,
    keyset: () => Promise.resolve(KEYSETS.k3),
    masking: 'recoverable',
  } as const;
  const { handler, close } = createFunction(loginEvents, source, { info() {}, warn() {}, error() {} });
  const ingest = async () => {
    const Records = freshBatch(INGEST_ROWS);
    await sleep(INGEST_PAUSE);
    return timed(() => handler({ Records }, { getRemainingTimeInMillis: () => 60_000 }));
  };
  try {
    const quiet: number[] = [];
    for (let i = 0; i < stage.rounds + stage.warmUp; i++) quiet.push(await ingest());
    const busy: number[] = [];
    let isDone = false;
    const work = rewrite(stage, database, { from: 'k2', to: 'k3' }, KEYSETS.k3).finally(() => {
      isDone = true;
    });
    while (!isDone) busy.push(await ingest());
    const [alone, meanwhile] = [spreadOf(quiet.slice(stage.warmUp)), spreadOf(busy)];
    const ratio = spreadOf(busy.map((time) => time / alone.median));
    return [
      took(`${count(rows)} rows, while a handler writes`, rows, await work),
      {
        what: `a batch of ${count(INGEST_ROWS)} meanwhile`,
        unit: 'ms',
        value: meanwhile,
        base: { what: 'without', value: alone, ratio },
      },
      { what: 'the longest of these', unit: 'ms', value: spreadOf([Math.max(...busy)]) },
    ];
  } finally {
    await close();
  }
}

/** Megabytes of the table and of its index. */
async function sizes({ client }: BenchDatabase): Promise<Record<string, number>> {
  const { rows } = await client.query<{ name: string; size: number }>(
    `SELECT relname AS name, pg_relation_size(oid) / 1e6::float AS size FROM pg_class
     WHERE relname IN ('user_logins', 'user_logins_event_key') ORDER BY 1`,
  );
  return Object.fromEntries(rows.map(({ name, size }) => [name, size]));
}

const PLAIN_REPEATS = `
  SELECT kind, token, count(*), count(DISTINCT user_id), min(create_date), max(create_date)
  FROM (SELECT 'ip' AS kind, masked_ip AS token, user_id, create_date FROM user_logins
        UNION ALL SELECT 'device_id', masked_device_id, user_id, create_date FROM user_logins) AS occurrence
  WHERE token IS NOT NULL GROUP BY kind, token HAVING count(*) > 1`;
const joined = (relation: string) =>
  `SELECT a.user_id FROM ${relation} a JOIN ${relation} b USING (masked_device_id) WHERE a.user_id < b.user_id`;

/** What analysts ask: of the table, of the views without an alias, and of the views with one for every token. */
async function measureViews(stage: Stage, database: BenchDatabase): Promise<Figure[]> {
  const { client } = database;
  await client.query('VACUUM ANALYZE user_logins, user_logins_aliases');
  const ask = (query: string) => () => timed(() => client.query(`SELECT count(*) FROM (${query}) AS answer`));
  const ways = {
    repeatsPlain: ask(PLAIN_REPEATS),
    repeats: ask('SELECT * FROM user_login_repeats'),
    joinPlain: ask(joined('user_logins')),
    join: ask(joined('user_logins_current')),
  };
  const empty = await stage.measure('views without aliases', ways, VIEW_ROUNDS);
  await aliasEverything(client, stage);
  const full = await stage.measure('views with aliases', ways, VIEW_ROUNDS);
  await client.query('TRUNCATE user_logins_aliases');
  return (['repeats', 'join'] as const).flatMap((way) => {
    const what = { repeats: 'the view of repeats', join: 'a join by device' }[way];
    const plain = `${way}Plain` as const;
    return [
      compared(
        { what: `${what}, no aliases`, milliseconds: empty[way] },
        { what: 'over the table', milliseconds: empty[plain] },
      ),
      compared(
        { what: `${what}, all tokens aliased`, milliseconds: full[way] },
        { what: 'over the table', milliseconds: full[plain] },
      ),
    ];
  });
}

async function aliasEverything(client: ClientBase, { progress }: Stage): Promise<void> {
  await fillAliases(client, loginEvents, KEYSETS.k2, { from: 'k1', to: 'k2' }, progress);
}
