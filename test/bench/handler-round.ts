import { type BenchDatabase, freshBatch } from './database.ts';
import { type Round, timed } from './rounds.ts';

/** What a round writes. */
export interface Batches {
  /** Of a batch. */
  readonly rows: number;
  /** So many that a round takes some milliseconds; the figure is that of one. */
  readonly batches: number;
}

/** Batches of the two sizes in which it shows what each row costs. */
export const LARGE_BATCHES: readonly Batches[] = [
  { rows: 1_000, batches: 5 },
  { rows: 10_000, batches: 1 },
];

/** The handler with batches of fresh events. */
export function handlerRound({ invoke }: BenchDatabase, { rows, batches }: Batches): Round {
  return async () => {
    const events = Array.from({ length: batches }, () => freshBatch(rows));
    return timed(async () => {
      for (const event of events) await invoke(event);
    }, batches);
  };
}

/** The round with a table that holds nothing. */
export function intoEmpty({ empty }: BenchDatabase, round: Round): Round {
  return async () => {
    await empty();
    return round();
  };
}
