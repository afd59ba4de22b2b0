import { Client } from 'pg';
import { describe, expect, it } from 'vitest';
import { HOUR, SECOND } from '../simulation/clock.ts';
import { evenly, hours, type StageOptions, useStage } from '../simulation/stage.ts';

const { play, expectExactlyOnce, database } = useStage();

/** What hangs takes all of its time. An invocation has 2.5 s for its 60, and hands everything back a second before they end. */
const FAST = { speed: 24, milliseconds: { invocation: 2_500, probe: 1_150 } };

let locker: Client;

const FAULTS: Record<string, StageOptions> = {
  'that no longer answers': { takeAway: (proxy) => proxy.behave('stall') },
  'whose table is locked': {
    async takeAway() {
      locker = new Client({ connectionString: database.url });
      await locker.connect();
      await locker.query('BEGIN; LOCK TABLE user_logins IN ACCESS EXCLUSIVE MODE');
    },
    bringBack: () => locker.end(),
  },
};

describe('a database', () => {
  it.each(Object.entries(FAULTS))(
    '%s makes no dead letter',
    async (fault, ways) => {
      const scenario = { traffic: evenly(10 * SECOND, 3 * HOUR), absences: [hours(0.5, 2)], seed: 1 };

      const outcome = await play(`90 minutes with a database ${fault}`, scenario, { ...FAST, ...ways });

      await expectExactlyOnce(scenario, outcome);
      expect(outcome.opened).toBeGreaterThan(0);
    },
    300_000,
  );
});
