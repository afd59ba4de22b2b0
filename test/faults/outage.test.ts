import { describe, expect, it } from 'vitest';
import type { MappingState } from '../../lambda/breaker/circuit.ts';
import { DAY, HOUR, MINUTE, SECOND } from '../simulation/clock.ts';
import type { Scenario } from '../simulation/simulation.ts';
import { evenly, hours, START, useStage } from '../simulation/stage.ts';

const { play, expectExactlyOnce } = useStage();

const TIME = 300_000;

describe('an outage of the database', () => {
  it(
    'of 24 hours in which 1,000,000 messages arrive makes no dead letter, and each of them is stored once',
    async () => {
      const scenario = { traffic: evenly(DAY / 1_000_000, 26 * HOUR), absences: [hours(1, 25)], seed: 1 };

      const outcome = await play('24 hours without a database', scenario);

      await expectExactlyOnce(scenario, outcome);
      expect(outcome.opened).toBe(1);
      expect(outcome.mostReceives).toBeLessThanOrEqual(3);
      expect(outcome.mostInFlight).toBeLessThan(120_000);
      expect(outcome.caughtUpAt).toBeLessThan(START + 25 * HOUR + 30 * MINUTE);
    },
    TIME,
  );

  it(
    'makes dead letters of all messages where there is no circuit breaker, and of none where there is one',
    async () => {
      const traffic = { start: START + MINUTE, interval: 1, count: 20_000 };
      const scenario = { traffic, absences: [hours(0, 3)], seed: 2 };

      const without = await play('3 hours without a breaker', { ...scenario, hasBreaker: false });
      const outcome = await play('3 hours with one', scenario);

      expect(without.deadLettered).toBe(20_000);
      await expectExactlyOnce(scenario, outcome);
    },
    TIME,
  );

  it(
    'makes no dead letter where a message comes every 20 minutes',
    async () => {
      const scenario = { traffic: evenly(20 * MINUTE, 26 * HOUR), absences: [hours(1, 25)], seed: 3 };

      const outcome = await play('24 hours, a message every 20 minutes', scenario);

      await expectExactlyOnce(scenario, outcome);
    },
    TIME,
  );

  it.each<[string, number, (message: number) => boolean]>([
    ['1 %', 20 * SECOND, (message) => message % 100 === 7],
    ['95 %', MINUTE, (message) => message % 20 !== 7],
  ])(
    'makes dead letters of exactly the bad messages: %s of all',
    async (share, interval, isBad) => {
      const traffic = { ...evenly(interval, 6 * HOUR), isBad };
      const scenario = { traffic, absences: [hours(1, 5)], seed: 4 };

      const outcome = await play(`4 hours, ${share} bad messages`, scenario);

      await expectExactlyOnce(scenario, outcome);
    },
    TIME,
  );

  it(
    'leaves the mapping to the person who has disabled it',
    async () => {
      let state: MappingState | undefined;
      const scenario: Scenario = {
        traffic: evenly(MINUTE, 6 * HOUR),
        absences: [hours(2, 3)],
        seed: 5,
        async person(clock, mapping) {
          await clock.until(START + HOUR);
          mapping.setEnabled(false);
          await clock.until(START + 4 * HOUR);
          state = mapping.state();
          mapping.setEnabled(true);
        },
      };

      const outcome = await play('3 hours disabled by a person', scenario);

      expect(state).toBe('disabled');
      expect(outcome).toMatchObject({ opened: 0, mostReceives: 1 });
      // At once, and every hour.
      expect(new Set(outcome.told)).toEqual(new Set(['Vizard: no messages are received']));
      await expectExactlyOnce(scenario, outcome);
    },
    TIME,
  );
});
