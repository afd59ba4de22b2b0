import type { SQSRecord } from 'aws-lambda';
import { type Benchmark, compared, count } from './benchmark.ts';
import { type BenchDatabase, freshBatch } from './database.ts';
import { intoEmpty } from './handler-round.ts';
import { type Round, timed } from './rounds.ts';

export const benchmark: Benchmark = {
  title: 'a batch that is in the table already ÷ a fresh one',
  note: 'In each way the table holds one batch before the one that is measured.',
  run: (stage) =>
    stage.withDatabase(async (database) => {
      const rows = stage.largest;
      const took = await stage.measure('duplicates', {
        fresh: round(database, rows, () => freshBatch(rows)),
        half: round(database, rows, (stored) =>
          stored.flatMap((record, i) => (i % 2 === 0 ? redelivered(record) : freshBatch(1))),
        ),
        all: round(database, rows, (stored) => stored.map(redelivered)),
        unknown: round(database, rows, (stored) => stored),
      });
      const names = {
        half: 'half of it redelivered',
        all: 'all of it redelivered',
        unknown: 'committed, but received for the first time',
      };
      return (['half', 'all', 'unknown'] as const).map((way) =>
        compared(
          { what: `${count(rows)}, ${names[way]}`, milliseconds: took[way] },
          { what: 'fresh', milliseconds: took.fresh },
          { rows, aim: { atMost: 2 } },
        ),
      );
    }),
};

/** @param again what comes after a batch that is stored */
function round(
  database: BenchDatabase,
  rows: number,
  again: (stored: readonly SQSRecord[]) => readonly SQSRecord[],
): Round {
  return intoEmpty(database, async () => {
    const stored = freshBatch(rows);
    await database.invoke(stored);
    const batch = again(stored);
    return timed(() => database.invoke(batch));
  });
}

function redelivered(record: SQSRecord): SQSRecord {
  return { ...record, attributes: { ...record.attributes, ApproximateReceiveCount: '2' } };
}
