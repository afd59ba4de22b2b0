import { VizardError } from '../../lambda/errors.ts';
import { count, type Figure } from './benchmark.ts';
import { OF_A_BATCH, STORED } from './footprint.ts';
import type { Report } from './report.ts';

/** The benchmarks that the model stands on. */
export const NEEDED = ['batches', 'memory', 'footprint'];

export const BENCH_COMMAND = `npm run bench -- --json --only ${NEEDED.join(' ')}`;

/** What was measured of batches of one size. */
export interface BatchFigures {
  readonly records: number;
  /** Milliseconds of a whole batch. */
  readonly handler: number;
  readonly bareCopy: number;
  /** Microseconds of processor time an event. */
  readonly functionCpu: number;
  readonly serverCpu: number;
  /** Bytes of write-ahead log an event. */
  readonly wal: number;
}

/** What docs/scaling.json keeps of a run of the bench. */
export interface Figures {
  readonly date: string;
  readonly command: string;
  readonly machine: Pick<Report['machine'], 'cpu' | 'cores' | 'memory' | 'platform' | 'node' | 'postgres'>;
  readonly rounds: number;
  /** In the order of their sizes. */
  readonly batches: readonly BatchFigures[];
  /** Bytes an event. */
  readonly stored: { readonly table: number; readonly index: number; readonly indexOfOrderedIds: number };
  /** Megabytes above an idle process, with the largest batches. */
  readonly memory: number;
}

const SIZES = [10, 100, 1_000, 10_000];

/**
 * @param report what `BENCH_COMMAND` prints
 * @param date of the run, `yyyy-mm-dd`
 * @throws VizardError where a figure is missing, as after another command
 */
export function figuresOf({ machine, rounds, quick, benchmarks }: Report, date: string): Figures {
  if (quick)
    throw new VizardError(`expected a whole run of the bench, got a quick one; run ${BENCH_COMMAND}`);
  const figures = (name: string, what: string, isIt: (figure: Figure) => boolean): Figure[] => {
    const found = benchmarks.find((benchmark) => benchmark.name === name)?.figures.filter(isIt) ?? [];
    if (found.length > 0) return found;
    throw new VizardError(`expected a figure of ${name}, "${what}", got none; run ${BENCH_COMMAND}`);
  };
  const footprint = (what: string) =>
    rounded(figures('footprint', what, (figure) => figure.what === what)[0]!.value.median);
  const batch = (records: number): BatchFigures => {
    // Next to each way of the bare COPY, of which the fastest counts.
    const compared = figures(
      'batches',
      `${count(records)} rows`,
      ({ rows, base }) => rows === records && !!base,
    );
    return {
      records,
      handler: rounded(compared[0]!.value.median),
      bareCopy: rounded(Math.min(...compared.map(({ base }) => base!.value.median))),
      functionCpu: footprint(OF_A_BATCH.functionCpu(records)),
      serverCpu: footprint(OF_A_BATCH.serverCpu(records)),
      wal: footprint(OF_A_BATCH.wal(records)),
    };
  };
  const peaks = figures('memory', 'MB', ({ unit }) => unit === 'MB');
  const { cpu, cores, memory, platform, node, postgres } = machine;
  return {
    date,
    command: BENCH_COMMAND,
    machine: { cpu, cores, memory, platform, node, postgres },
    rounds,
    batches: SIZES.map(batch),
    stored: {
      table: footprint(STORED.table),
      index: footprint(STORED.index),
      indexOfOrderedIds: footprint(STORED.indexOfOrderedIds),
    },
    memory: Math.round(Math.max(...peaks.map(({ value }) => value.median))),
  };
}

/** To a hundredth. */
function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}
