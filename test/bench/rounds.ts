import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Progress } from '../../bin/local/progress.ts';

/** Prepares and takes one measurement, in milliseconds. Only the second part is in the figure. */
export type Round = () => Promise<number>;

export interface Rounds {
  readonly rounds: number;
  /** Rounds before them that do not count: the compiler, caches and the server's plans get warm. */
  readonly warmUp: number;
}

/**
 * All ways in turn, in each round in the opposite order of the one before: whatever disturbs the machine disturbs them
 * alike, and none is always first.
 *
 * @returns for each way the milliseconds of every round that counts
 */
export async function measure<K extends string>(
  label: string,
  ways: Readonly<Record<K, Round>>,
  { rounds, warmUp }: Rounds,
  progress: Progress,
): Promise<Record<K, number[]>> {
  const order = Object.keys(ways) as K[];
  const times = Object.fromEntries(order.map((way) => [way, []])) as unknown as Record<K, number[]>;
  progress.begin(label, (rounds + warmUp) * order.length);
  for (let round = -warmUp; round < rounds; round++) {
    for (const way of order) {
      const time = await ways[way]();
      if (round >= 0) times[way].push(time);
      progress.advance(1);
    }
    order.reverse();
  }
  progress.end();
  return times;
}

/** Milliseconds that the work took, divided by how many `times` it did the same. */
export async function timed(work: () => Promise<unknown>, times = 1): Promise<number> {
  await nextTurn();
  const start = performance.now();
  await work();
  return (performance.now() - start) / times;
}
