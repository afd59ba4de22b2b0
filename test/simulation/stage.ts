import { afterEach, expect } from 'vitest';
import { type TestDatabase, useDatabase } from '../support/database.ts';
import { startProxy, type Proxy as Way } from '../support/proxy.ts';
import { HOUR, MINUTE, SECOND } from './clock.ts';
import { type Absence, type Outcome, type Scenario, simulate } from './simulation.ts';
import { type RealWorldOptions, realWorld } from './world.ts';

/** What the scenarios of one test file are played on. */
export interface Stage {
  readonly database: TestDatabase;
  /**
   * Plays a scenario, and prints what came of it in one line.
   *
   * @param takeAway how the database goes. @default it resets every connection and refuses new ones
   */
  play(name: string, scenario: Scenario, options?: StageOptions): Promise<Outcome>;
  /** Fails unless every good message is one row and every bad one a dead letter. */
  expectExactlyOnce(scenario: Scenario, outcome: Outcome): Promise<void>;
}

export interface StageOptions extends Pick<RealWorldOptions, 'speed' | 'milliseconds'> {
  readonly takeAway?: (proxy: Way) => Promise<void> | void;
  readonly bringBack?: (proxy: Way) => Promise<void> | void;
}

export const START = Date.UTC(2026, 0, 1);

/** Messages that come evenly. */
export function evenly(interval: number, time: number): Scenario['traffic'] {
  return { start: START, interval, count: Math.floor(time / interval) };
}

/** No database from one hour to another, and not at the beginning of a minute, when the breaker looks. */
export function hours(from: number, to: number): Absence {
  const start = START + 40 * SECOND;
  return { from: start + from * HOUR, to: start + to * HOUR };
}

export function useStage(): Stage {
  const database = useDatabase();
  let proxy: Way | undefined;
  afterEach(() => proxy?.close());
  return {
    database,
    async play(name, scenario, { takeAway = refuse, bringBack = pass, ...options } = {}) {
      proxy?.close();
      const way = await startProxy(database.url);
      proxy = way;
      const setDatabase = async (isThere: boolean) => (isThere ? bringBack : takeAway)(way);
      const outcome = await simulate(realWorld({ url: way.url, setDatabase, ...options }), scenario);
      printFigures(name, scenario, outcome);
      return outcome;
    },
    async expectExactlyOnce({ traffic: { count, isBad = () => false } }, { deadLetters, deleted, expired }) {
      const bad = Array.from({ length: count }, (_, message) => message).filter(isBad);
      const good = count - bad.length;
      expect(deadLetters).toEqual(bad);
      expect({ deleted, expired }).toEqual({ deleted: good, expired: 0 });
      const [stored] = await database.rows(
        `SELECT count(*)::int AS rows, count(DISTINCT event_id)::int AS events, count(DISTINCT user_id)::int AS users
         FROM user_logins`,
      );
      expect(stored).toEqual({ rows: good, events: good, users: good });
    },
  };
}

function refuse(proxy: Way): void {
  proxy.behave('refuse');
  proxy.cut();
}

function pass(proxy: Way): void {
  proxy.behave('pass');
}

function printFigures(name: string, { absences, seed }: Scenario, outcome: Outcome): void {
  const { sent, deadLettered, mostReceives, mostInFlight, opened, closedAt, caughtUpAt } = outcome;
  const back = absences.at(-1)?.to ?? START;
  const after = (time: number | undefined) =>
    time === undefined ? 'never' : `in ${((time - back) / MINUTE).toFixed(1)} min`;
  process.stdout.write(
    `simulated ${name} (seed ${seed}): ${count(sent)} messages, dead-lettered ${count(deadLettered)}, receives at most ${mostReceives}, ` +
      `in flight at most ${count(mostInFlight)}, opened ${opened} times, closed ${after(closedAt)} and caught up ${after(caughtUpAt)}, ` +
      `${count(outcome.invocations)} invocations in ${outcome.environments} environments\n`,
  );
}

function count(value: number): string {
  return value.toLocaleString('en');
}
