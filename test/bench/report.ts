import Table from 'cli-table3';
import { type Aim, count, type Figure, isMet } from './benchmark.ts';
import type { Machine } from './machine.ts';
import type { Spread } from './statistics.ts';

export interface Report {
  readonly machine: Machine;
  readonly rounds: number;
  readonly quick: boolean;
  readonly benchmarks: readonly BenchmarkReport[];
}

export interface BenchmarkReport {
  readonly name: string;
  readonly title: string;
  readonly note?: string | undefined;
  /** That it took, preparations included. */
  readonly seconds: number;
  readonly figures: readonly Figure[];
}

/** One line of JSON: every figure, and whether its aim is met. */
export function renderJson({ benchmarks, ...run }: Report): string {
  const judged = benchmarks.map(({ figures, ...benchmark }) => ({
    ...benchmark,
    figures: figures.map((figure) => ({ ...figure, met: isMet(figure) })),
  }));
  return JSON.stringify({ ...run, benchmarks: judged });
}

export function renderText({ machine, rounds, quick, benchmarks }: Report): string {
  const { cpu, cores, memory, platform, node, postgres, load } = machine;
  const lines = [
    `${cores} × ${cpu}, ${memory} GiB, ${platform}, Node ${node}, PostgreSQL ${postgres}`,
    `load ${load.map((value) => value.toFixed(2)).join(' before, ')} after; rounds ${rounds}${quick ? ', quick: these are no figures' : ''}`,
    'value and ratio: median (quartiles); ratios are those of neighbours in one round',
    ...benchmarks.map(renderBenchmark),
  ];
  return lines.join('\n');
}

function renderBenchmark({ name, title, note, figures }: BenchmarkReport): string {
  return `\n${name}: ${title}\n${tableOf(figures)}${note === undefined ? '' : `\n${note}`}`;
}

type Column = readonly [head: string, cell: (figure: Figure) => string];

const COLUMNS: readonly Column[] = [
  ['', ({ what }) => what],
  ['value', ({ value, unit }) => `${renderSpread(value, number)} ${unit}`],
  ['rows/s', ({ rows, value }) => (rows === undefined ? '' : number((rows / value.median) * 1_000))],
  ['÷', ({ base }) => base?.what ?? ''],
  ['value', ({ base, unit }) => (base === undefined ? '' : `${renderSpread(base.value, number)} ${unit}`)],
  ['ratio', ({ base }) => (base === undefined ? '' : renderSpread(base.ratio, (value) => value.toFixed(2)))],
  ['aim', ({ aim }) => (aim === undefined ? '' : renderAim(aim))],
  ['', (figure) => ({ true: 'met', false: 'not met' })[String(isMet(figure))] ?? ''],
];

function tableOf(figures: readonly Figure[]): string {
  const filled = COLUMNS.filter(([, cell]) => figures.some((figure) => cell(figure) !== ''));
  const table = new Table({
    head: filled.map(([head]) => head),
    style: { head: [], border: [], compact: true },
  });
  for (const figure of figures) table.push(filled.map(([, cell]) => cell(figure)));
  return table.toString();
}

function renderSpread({ lower, median, upper }: Spread, render: (value: number) => string): string {
  return `${render(median)} (${render(lower)}–${render(upper)})`;
}

/** Three figures that count. */
function number(value: number): string {
  return value >= 100 ? count(Math.round(value)) : value.toPrecision(3);
}

function renderAim(aim: Aim): string {
  return 'atMost' in aim ? `≤ ${aim.atMost}` : `≥ ${aim.atLeast}`;
}
