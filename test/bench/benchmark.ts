import type { Stage } from './stage.ts';
import { ratiosOf, type Spread, spreadOf } from './statistics.ts';

/** What a module of this folder exports as `benchmark`. */
export interface Benchmark {
  readonly title: string;
  /** What one has to know to read the figures, where there is something. */
  readonly note?: string;
  /**
   * Before any benchmark runs, as a run takes long.
   *
   * @throws VizardError where this machine cannot do it
   */
  check?(stage: Stage): Promise<void>;
  run(stage: Stage): Promise<Figure[]>;
}

/** What the median is wanted to be: of the ratio where the figure has a base, else of the value. Never asserted. */
export type Aim = { readonly atMost: number } | { readonly atLeast: number };

export type Unit = 'ms' | 'µs' | 'MB' | 'B' | 'rows/s' | '%';

/** One line of the report. */
export interface Figure {
  readonly what: string;
  readonly unit: Unit;
  readonly value: Spread;
  /** Rows that the milliseconds are for. */
  readonly rows?: number;
  readonly base?: Base;
  readonly aim?: Aim;
}

export interface Base {
  readonly what: string;
  readonly value: Spread;
  /** What ÷ base, of each round. */
  readonly ratio: Spread;
}

/** Milliseconds by name and round. */
export interface Sample {
  readonly what: string;
  readonly milliseconds: readonly number[];
}

/** One way next to another that was measured in the same rounds. */
export function compared(
  { what, milliseconds }: Sample,
  base: Sample,
  details: Pick<Figure, 'rows' | 'aim'> = {},
): Figure {
  const value = spreadOf(base.milliseconds);
  const ratio = spreadOf(ratiosOf(milliseconds, base.milliseconds));
  return {
    what,
    unit: 'ms',
    value: spreadOf(milliseconds),
    base: { what: base.what, value, ratio },
    ...details,
  };
}

/** @returns undefined where nothing is aimed at */
export function isMet({ value, base, aim }: Figure): boolean | undefined {
  if (aim === undefined) return undefined;
  const { median } = base?.ratio ?? value;
  return 'atMost' in aim ? median <= aim.atMost : median >= aim.atLeast;
}

/** `10,000`, as people read it. */
export function count(value: number): string {
  return value.toLocaleString('en');
}
