import type { Batches } from './handler-round.ts';

/** What a worker is told when it starts, as its `workerData`. */
export interface WorkerTask {
  readonly databaseUrl: string;
}

/** Makes the batches of a round; the worker answers `ready`. */
export interface Preparation extends Batches {
  readonly way: 'handler' | 'copy';
}

/** Writes what was prepared; the worker answers `done`. */
export const GO = 'go';
