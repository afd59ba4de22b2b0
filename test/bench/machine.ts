import { cpus, loadavg, totalmem } from 'node:os';

/** What the figures are from. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  /** Gibibytes. */
  readonly memory: number;
  readonly platform: string;
  readonly node: string;
  readonly postgres: string;
  /** Load averages of the last minute, at the beginning and at the end: above what a run makes itself, others were at work. */
  readonly load: readonly [before: number, after: number];
}

export function loadNow(): number {
  return loadavg()[0]!;
}

export function describeMachine(postgres: string, loadBefore: number): Machine {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memory: Math.round(totalmem() / 2 ** 30),
    platform: `${process.platform} ${process.arch}`,
    node: process.version,
    postgres,
    load: [loadBefore, loadNow()],
  };
}
