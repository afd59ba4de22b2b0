import { describe, expect, it } from 'vitest';
import type { Figure, Unit } from '../../bench/benchmark.ts';
import { OF_A_BATCH, STORED } from '../../bench/footprint.ts';
import type { BenchmarkReport, Report } from '../../bench/report.ts';
import { BENCH_COMMAND, figuresOf } from '../../bench/scaling-figures.ts';

const SIZES = [10, 100, 1_000, 10_000];

const spread = (median: number) => ({ lower: median / 2, median, upper: median * 2 });
const figure = (what: string, unit: Unit, median: number): Figure => ({ what, unit, value: spread(median) });
const benchmark = (name: string, figures: Figure[]): BenchmarkReport => ({
  name,
  title: '',
  seconds: 1,
  figures,
});

/** The handler next to two ways of a bare COPY. */
const compared = (rows: number): Figure[] =>
  [3, 2].map((copy) => ({
    ...figure(`handler, ${rows} rows`, 'ms', 4),
    rows,
    base: { what: 'bare COPY', value: spread(copy), ratio: spread(4 / copy) },
  }));

const report: Report = {
  machine: {
    cpu: 'a processor',
    cores: 2,
    memory: 8,
    platform: 'p',
    node: 'v24',
    postgres: '18.4',
    load: [0, 1],
  },
  rounds: 15,
  quick: false,
  benchmarks: [
    benchmark('batches', SIZES.flatMap(compared)),
    benchmark('memory', [figure('one', 'MB', 150), figure('five', 'MB', 201.4)]),
    benchmark('footprint', [
      ...SIZES.flatMap((size) => [
        figure(OF_A_BATCH.functionCpu(size), 'µs', 5.123),
        figure(OF_A_BATCH.serverCpu(size), 'µs', 4),
        figure(OF_A_BATCH.wal(size), 'B', 300),
      ]),
      figure(STORED.table, 'B', 200),
      figure(STORED.index, 'B', 50),
      figure(STORED.indexOfOrderedIds, 'B', 40),
    ]),
  ],
};

describe('figures of the bench', () => {
  it('are its medians, the fastest bare COPY and the highest peak of memory', () => {
    const batch = { handler: 4, bareCopy: 2, functionCpu: 5.12, serverCpu: 4, wal: 300 };

    expect(figuresOf(report, '2026-01-01')).toMatchObject({
      date: '2026-01-01',
      batches: SIZES.map((records) => ({ records, ...batch })),
      stored: { table: 200, index: 50, indexOfOrderedIds: 40 },
      memory: 201,
    });
  });

  it.each(['batches', 'memory', 'footprint'])('of a run without %s are refused in one line', (missing) => {
    const benchmarks = report.benchmarks.filter(({ name }) => name !== missing);

    expect(() => figuresOf({ ...report, benchmarks }, '2026-01-01')).toThrow(
      new RegExp(`^expected a figure of ${missing}, ".+", got none; run ${BENCH_COMMAND}$`),
    );
  });

  it('of a quick run are refused', () => {
    expect(() => figuresOf({ ...report, quick: true }, '2026-01-01')).toThrow('got a quick one');
  });
});
