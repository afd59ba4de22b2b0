import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { keepRows } from './bare-copy.ts';
import { type Benchmark, compared, count, type Figure } from './benchmark.ts';
import { GO, type Preparation, type WorkerTask } from './concurrent-protocol.ts';
import type { BenchDatabase } from './database.ts';
import { type Batches, LARGE_BATCHES } from './handler-round.ts';
import { type Round, timed } from './rounds.ts';
import type { Stage } from './stage.ts';

const WRITERS = 4;
const PROGRAM = new URL('concurrent-worker.ts', import.meta.url);

export const benchmark: Benchmark = {
  title: `${WRITERS} handlers at once on ${WRITERS} connections ÷ ${WRITERS} bare COPYs at once`,
  note:
    'Milliseconds until the last of them has committed, a batch each; binary COPY. Every writer has a thread of its own in\n' +
    'both ways. Where there are fewer cores than writers and their sessions of the server together, all that the handlers\n' +
    'do beside is added to what Postgres does: then no way of writing can hide it.',
  run: (stage) =>
    stage.withDatabase(async (database) => {
      await keepRows(database, stage.largest);
      const workers = startWorkers(database);
      try {
        await ask(workers, { way: 'handler', rows: stage.largest, batches: stage.warmUp });
        await ask(workers, GO);
        const figures: Figure[] = [];
        for (const size of LARGE_BATCHES.filter(({ rows }) => rows <= stage.largest)) {
          figures.push(await atSize(stage, database, workers, size));
        }
        return figures;
      } finally {
        await Promise.all(workers.map((worker) => worker.terminate()));
      }
    }),
};

async function atSize(
  stage: Stage,
  database: BenchDatabase,
  workers: readonly Worker[],
  size: Batches,
): Promise<Figure> {
  const round =
    (way: Preparation['way']): Round =>
    async () => {
      await database.empty();
      await ask(workers, { way, ...size });
      return timed(() => ask(workers, GO), size.batches);
    };
  const name = `${WRITERS} × ${count(size.rows)} rows`;
  const took = await stage.measure(name, { handler: round('handler'), copy: round('copy') });
  return compared(
    { what: `handlers, ${name}`, milliseconds: took.handler },
    { what: 'bare COPYs', milliseconds: took.copy },
    { rows: WRITERS * size.rows, aim: { atMost: 1.2 } },
  );
}

function startWorkers({ url }: BenchDatabase): Worker[] {
  const workerData: WorkerTask = { databaseUrl: url };
  return Array.from({ length: WRITERS }, () => new Worker(PROGRAM, { workerData }));
}

/** Resolves when all have answered; rejects with what ended one of them. */
async function ask(workers: readonly Worker[], message: Preparation | typeof GO): Promise<void> {
  await Promise.all(
    workers.map(async (worker) => {
      const answer = once(worker, 'message');
      worker.postMessage(message);
      await answer;
    }),
  );
}
