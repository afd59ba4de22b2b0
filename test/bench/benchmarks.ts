import type { Benchmark } from './benchmark.ts';

/** All benchmarks by name, in the order of the report. Loaded when they run. */
export const BENCHMARKS: Readonly<Record<string, () => Promise<{ readonly benchmark: Benchmark }>>> = {
  batches: () => import('./batches.ts'),
  concurrent: () => import('./concurrent.ts'),
  duplicates: () => import('./duplicates.ts'),
  refused: () => import('./refused.ts'),
  masking: () => import('./masking.ts'),
  sealed: () => import('./sealed.ts'),
  ways: () => import('./ways.ts'),
  partitions: () => import('./partitions.ts'),
  memory: () => import('./memory.ts'),
  footprint: () => import('./footprint.ts'),
  'cold-start': () => import('./cold-start.ts'),
  'end-to-end': () => import('./end-to-end.ts'),
  rekey: () => import('./rekey.ts'),
  history: () => import('./history.ts'),
};
