import { withClient } from '../../lambda/postgres/connection.ts';
import { type BareCopy, bareCopy, type CopyFormat, keepRows } from './bare-copy.ts';
import { type Aim, type Benchmark, compared, count, type Figure } from './benchmark.ts';
import type { BenchDatabase } from './database.ts';
import { type Batches, handlerRound, intoEmpty } from './handler-round.ts';
import { type Round, timed } from './rounds.ts';
import type { Stage } from './stage.ts';

interface Size extends Batches {
  readonly aim: Aim;
}

const SIZES: readonly Size[] = [
  { rows: 10, aim: { atMost: 1.5 }, batches: 100 },
  { rows: 100, aim: { atMost: 1.3 }, batches: 20 },
  { rows: 1_000, aim: { atMost: 1.2 }, batches: 5 },
  { rows: 10_000, aim: { atMost: 1.1 }, batches: 1 },
];

export const benchmark: Benchmark = {
  title: 'the whole handler, from event to commit ÷ a bare COPY of the same masked rows',
  run: (stage) =>
    stage.withDatabase(async (database) => {
      await keepRows(database, stage.largest);
      return withClient(database.login, async (client) => {
        const figures: Figure[] = [];
        for (const size of SIZES.filter(({ rows }) => rows <= stage.largest)) {
          figures.push(...(await atSize(stage, database, bareCopy(client, database.client), size)));
        }
        return figures;
      });
    }),
};

async function atSize(
  stage: Stage,
  database: BenchDatabase,
  bare: BareCopy,
  { aim, ...size }: Size,
): Promise<Figure[]> {
  const copy = (format: CopyFormat) => intoEmpty(database, copyRound(bare, format, size));
  const name = `${count(size.rows)} rows`;
  const took = await stage.measure(`batches of ${name}`, {
    handler: intoEmpty(database, handlerRound(database, size)),
    text: copy('text'),
    binary: copy('binary'),
  });
  return (['text', 'binary'] as const).map((format) =>
    compared(
      { what: `handler, ${name}`, milliseconds: took.handler },
      { what: `bare COPY, ${format}`, milliseconds: took[format] },
      { rows: size.rows, aim },
    ),
  );
}

function copyRound(bare: BareCopy, format: CopyFormat, { rows, batches }: Batches): Round {
  return async () => {
    const batchesOfRows: Buffer[] = [];
    while (batchesOfRows.length < batches) batchesOfRows.push(await bare.data(rows, format));
    return timed(async () => {
      for (const data of batchesOfRows) await bare.copy(data, format);
    }, batches);
  };
}
