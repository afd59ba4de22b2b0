import { statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { VizardError } from '../../lambda/errors.ts';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { migrate } from '../../lambda/postgres/schema/schema.ts';
import { idempotencyIndex } from '../../lambda/postgres/schema/table.ts';
import { type Benchmark, compared, count, type Figure } from './benchmark.ts';
import type { BenchDatabase } from './database.ts';
import { type Batches, handlerRound, intoEmpty, LARGE_BATCHES } from './handler-round.ts';
import type { Stage } from './stage.ts';

/** Of a row with its part of the index, and of the log that is written for it at first. */
const BYTES_A_ROW = 300;
const ROWS_A_STATEMENT = 200_000;
const DAYS = 730;

export const benchmark: Benchmark = {
  title: 'the handler into a table with a long history ÷ into an empty one',
  note: 'Rows of the rounds stay in the long table, and are taken out of the empty one. Neither is vacuumed meanwhile.',
  check: ({ history }) => requireSpace(history),
  run: (stage) =>
    stage.withDatabase((empty) =>
      stage.withDatabase(async (long) => {
        await fill(stage, long);
        await settle(empty);
        await settle(long);
        const figures: Figure[] = [];
        for (const size of LARGE_BATCHES.filter(({ rows }) => rows <= stage.largest)) {
          figures.push(await atSize(stage, long, empty, size));
        }
        return figures;
      }),
    ),
};

async function atSize(
  stage: Stage,
  long: BenchDatabase,
  empty: BenchDatabase,
  size: Batches,
): Promise<Figure> {
  const name = `${count(size.rows)} rows`;
  const took = await stage.measure(`history, ${name}`, {
    long: handlerRound(long, size),
    empty: intoEmpty(empty, handlerRound(empty, size)),
  });
  return compared(
    { what: `${name} into ${count(stage.history)}`, milliseconds: took.long },
    { what: 'into an empty table', milliseconds: took.empty },
    { rows: size.rows, aim: { atMost: 1.2 } },
  );
}

/** Twice what the rows take. @throws VizardError */
async function requireSpace(rows: number): Promise<void> {
  const { bavail, bsize } = await statfs(tmpdir());
  const [needed, free] = [2 * rows * BYTES_A_ROW, bavail * bsize].map((bytes) => Math.round(bytes / 1e9));
  if (free! < needed!) {
    throw new VizardError(
      `a history of ${count(rows)} rows: expected ${needed} GB free in ${tmpdir()}, got ${free} GB; set TMPDIR or --history`,
    );
  }
}

/** Rows as long as masked ones, of the last two years. The index is made when they are there, which is faster. */
async function fill({ history, progress }: Stage, { client }: BenchDatabase): Promise<void> {
  await client.query(`DROP INDEX ${idempotencyIndex(loginEvents)}`);
  const token = (place: string) =>
    `'s1~k1~' || translate(rtrim(encode(sha256(${place}::text::bytea), 'base64'), '='), '+/', '-_')`;
  progress.begin('rows of the history', history);
  for (let first = 1; first <= history; first += ROWS_A_STATEMENT) {
    const last = Math.min(first + ROWS_A_STATEMENT - 1, history);
    await client.query(`
      INSERT INTO ${loginEvents.table}
      SELECT gen_random_uuid(), 'android', ${token('n')}, ${token('(-n)')}, CASE WHEN n % 3 > 0 THEN 'RU' END, 2003000,
             (now() AT TIME ZONE 'UTC')::date - (n % ${DAYS})::int, gen_random_uuid()
      FROM generate_series(${first}, ${last}) AS n`);
    progress.advance(last - first + 1);
  }
  progress.end();
  progress.note('its index');
  await client.query(`SET maintenance_work_mem = '1GB'`);
  await migrate(client, loginEvents);
}

/** Nothing that the preparations left to do is done while it is measured. */
async function settle({ client }: BenchDatabase): Promise<void> {
  await client.query(`ALTER TABLE ${loginEvents.table} SET (autovacuum_enabled = off)`);
  await client.query('CHECKPOINT');
}
