import { describe, it } from 'vitest';
import { HOUR, MINUTE, SECOND } from '../simulation/clock.ts';
import type { Absence } from '../simulation/simulation.ts';
import { evenly, START, useStage } from '../simulation/stage.ts';
import { createRandom } from '../soak/random.ts';

const { play, expectExactlyOnce } = useStage();

/** Replays a run, or makes another one. */
const SEED = Number(process.env.OUTAGE_SEED ?? 1);

/** From the shortest to the longest time, in milliseconds. */
type Range = readonly [least: number, most: number];

const exactly = (time: number): Range => [time, time];

/** Goes on for `time` from an hour after the start, and not at the beginning of a minute, when the breaker looks. */
function rhythm(there: Range, away: Range, time: number): Absence[] {
  const random = createRandom(SEED);
  const absences: Absence[] = [];
  const start = START + HOUR + 40 * SECOND;
  for (let from = start; from < start + time; ) {
    const to = from + random.integer(...away);
    absences.push({ from, to });
    from = to + random.integer(...there);
  }
  return absences;
}

describe('a database that comes and goes makes no dead letter', () => {
  it.each<[name: string, there: Range, away: Range, time: number, interval: number]>([
    ['4 minutes there, 6 away', exactly(4 * MINUTE), exactly(6 * MINUTE), 24 * HOUR, 2 * MINUTE],
    ['65 minutes there, 15 away', exactly(65 * MINUTE), exactly(15 * MINUTE), 10 * HOUR, 2 * MINUTE],
    ['35 seconds there, 25 away', exactly(35 * SECOND), exactly(25 * SECOND), HOUR, 7 * SECOND],
    ['up to 20 seconds there, 10 away', [SECOND, 20 * SECOND], [SECOND, 10 * SECOND], 8 * HOUR, MINUTE],
    ['up to 2 minutes', [SECOND, 2 * MINUTE], [SECOND, 2 * MINUTE], 8 * HOUR, 20 * MINUTE],
    ['up to 10 minutes', [SECOND, 10 * MINUTE], [SECOND, 10 * MINUTE], 8 * HOUR, 2 * MINUTE],
    ['up to 90 minutes there, 40 away', [MINUTE, 90 * MINUTE], [MINUTE, 40 * MINUTE], 20 * HOUR, 5 * MINUTE],
  ])(
    '%s',
    async (name, there, away, time, interval) => {
      const scenario = {
        traffic: evenly(interval, time + 2 * HOUR),
        absences: rhythm(there, away, time),
        seed: SEED,
      };

      const outcome = await play(name, scenario);

      await expectExactlyOnce(scenario, outcome);
    },
    300_000,
  );
});
