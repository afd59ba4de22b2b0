/**
 * The whole handler, from event to commit, next to what Postgres needs to take the same rows by a bare COPY into the
 * same table, and next to inserting them row by row. All in one run; what counts is the ratio of medians.
 */
import { cpus } from 'node:os';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { Client } from 'pg';
import { startPostgres } from '../../bin/local/postgres.ts';
import { columnNames } from '../../lambda/events/declaration.ts';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { parseBatch } from '../../lambda/events/parse.ts';
import { createFunction } from '../../lambda/function.ts';
import { parseKeyset } from '../../lambda/masking/keyset.ts';
import { type StorableChunk, tableMasker } from '../../lambda/masking/table-masker.ts';
import { copyInto, copyLines, copyStatement } from '../../lambda/postgres/copy.ts';
import { migrate } from '../../lambda/postgres/schema.ts';
import { KEYSET_JSON, records } from '../support/records.ts';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '15' },
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
if (options.help) {
  process.stdout.write('npm run bench -- [--rounds N] [--quick] [--json]\n');
  process.exit(0);
}
const ROUNDS = options.quick ? 3 : Number(options.rounds);
const WARM_UP = options.quick ? 1 : 5;
const ROW_BY_ROW_ROUNDS = options.quick ? 1 : 3;
const SIZES = [100, 1_000, 10_000];

const postgres = await startPostgres({ durable: true });
const client = new Client({ connectionString: postgres.url });
await client.connect();
await migrate(client, loginEvents);
const keyset = parseKeyset(KEYSET_JSON);
const silent = { info() {}, warn() {}, error() {} };
const ingest = createFunction(
  loginEvents,
  {
    login: { kind: 'url', url: postgres.url },
    keyset: () => Promise.resolve(keyset),
    masking: 'recoverable',
  },
  silent,
);
const { mask } = tableMasker(keyset, 'recoverable', loginEvents);
const context = { getRemainingTimeInMillis: () => 60_000 };

/** Takes the time of one round; what it needs is prepared before. */
type Round = () => Promise<number>;

async function timed(work: () => Promise<unknown>): Promise<number> {
  await nextTurn();
  const start = performance.now();
  await work();
  return performance.now() - start;
}

function maskedChunks(size: number): StorableChunk[] {
  return [...parseBatch(loginEvents, records(size), 1_000)].map(mask);
}

const handlerRound =
  (size: number): Round =>
  async () => {
    const event = { Records: records(size) };
    return timed(() => ingest.handler(event, context));
  };

const copyRound =
  (size: number): Round =>
  async () => {
    const lines = maskedChunks(size).map((chunk) => copyLines(chunk));
    return timed(() => copyInto(client, copyStatement(loginEvents), lines));
  };

const rowByRowRound =
  (size: number): Round =>
  async () => {
    const names = columnNames(loginEvents);
    const sql = `INSERT INTO ${loginEvents.table} (${names.join(', ')}) VALUES (${names.map((_, i) => `$${i + 1}`).join(', ')})`;
    const rows = maskedChunks(size).flatMap(({ events, columns }) =>
      events.map(({ date, eventId }, row) => [...columns.map(({ values }) => values[row]), date, eventId]),
    );
    return timed(async () => {
      for (const row of rows) await client.query(sql, row);
    });
  };

/** Rounds of all ways in turn, so that whatever disturbs the machine disturbs them alike. */
async function medians(ways: readonly Round[], rounds: number, warmUp: number): Promise<number[]> {
  const times = ways.map((): number[] => []);
  for (let round = -warmUp; round < rounds; round++) {
    await client.query(`TRUNCATE ${loginEvents.table}`);
    const order = [...ways.keys()];
    for (const way of round % 2 === 0 ? order : order.reverse()) {
      const time = await ways[way]!();
      if (round >= 0) times[way]!.push(time);
    }
  }
  return times.map((sample) => sample.toSorted((a, b) => a - b)[sample.length >> 1]!);
}

// A warm function is what runs in production: the compiler has seen all sizes before the first is measured.
for (let i = 0; i < WARM_UP; i++) await handlerRound(10_000)();

const results = [];
for (const size of SIZES) {
  const [handler, copy] = (await medians([handlerRound(size), copyRound(size)], ROUNDS, WARM_UP)) as [
    number,
    number,
  ];
  const [rowByRow] = (await medians([rowByRowRound(size)], ROW_BY_ROW_ROUNDS, 0)) as [number];
  const ways = { 'bare COPY': copy, handler, 'row by row': rowByRow };
  for (const [way, milliseconds] of Object.entries(ways)) {
    results.push({
      records: size,
      way,
      milliseconds: Number(milliseconds.toFixed(2)),
      rowsPerSecond: Math.round((size / milliseconds) * 1000),
      ratio: Number((milliseconds / copy).toFixed(2)),
    });
  }
}
const version = await client.query<{ server_version: string }>('SHOW server_version');
await ingest.close();
await client.end();
await postgres.stop();

const machine = `${cpus().length} × ${cpus()[0]?.model}, Node ${process.version}, PostgreSQL ${version.rows[0]?.server_version}`;
if (options.json) {
  process.stdout.write(`${JSON.stringify({ machine, rounds: ROUNDS, results })}\n`);
} else {
  const table = new Table({
    head: ['records', 'way', 'ms (median)', 'rows/s', '÷ bare COPY'],
    style: { head: [], border: [], compact: true },
  });
  for (const row of results) table.push(Object.values(row).map(String));
  process.stdout.write(`${table.toString()}\n${machine}; medians of ${ROUNDS} rounds\n`);
}
