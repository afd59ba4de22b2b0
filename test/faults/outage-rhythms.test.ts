import { describe, it } from 'vitest';
import { HOUR, MINUTE, SECOND } from '../simulation/clock.ts';
import type { Absence } from '../simulation/simulation.ts';
import { evenly, START, useStage } from '../simulation/stage.ts';
import { createRandom } from '../soak/random.ts';

const { play, expectExactlyOnce } = useStage();

const random = createRandom(1);
const between = (least: number, most: number) => () => random.integer(least, most);
const always = (time: number) => () => time;

/** For how long the database is there and away, in turn, until the time is over. */
function rhythm(there: () => number, away: () => number, time: number): Absence[] {
  const absences: Absence[] = [];
  for (let from = START + HOUR; from < START + HOUR + time; ) {
    const to = from + away();
    absences.push({ from, to });
    from = to + there();
  }
  return absences;
}

describe('a database that comes and goes makes no dead letter', () => {
  it.each<[string, () => number, () => number, number, number]>([
    ['4 minutes there, 6 away', always(4 * MINUTE), always(6 * MINUTE), 24 * HOUR, 2 * MINUTE],
    ['35 seconds there, 25 away', always(35 * SECOND), always(25 * SECOND), 6 * HOUR, 30 * SECOND],
    ['65 minutes there, 15 away', always(65 * MINUTE), always(15 * MINUTE), 12 * HOUR, 2 * MINUTE],
    [
      'up to 2 minutes at random',
      between(SECOND, 2 * MINUTE),
      between(SECOND, 2 * MINUTE),
      8 * HOUR,
      20 * MINUTE,
    ],
    [
      'up to 10 minutes at random',
      between(SECOND, 10 * MINUTE),
      between(SECOND, 10 * MINUTE),
      8 * HOUR,
      2 * MINUTE,
    ],
    [
      'up to 90 minutes at random',
      between(MINUTE, 90 * MINUTE),
      between(MINUTE, 40 * MINUTE),
      24 * HOUR,
      5 * MINUTE,
    ],
  ])(
    '%s',
    async (name, there, away, time, interval) => {
      const scenario = {
        traffic: evenly(interval, time + 2 * HOUR),
        absences: rhythm(there, away, time),
        seed: 1,
      };

      const outcome = await play(name, scenario);

      await expectExactlyOnce(scenario, outcome);
    },
    300_000,
  );
});
