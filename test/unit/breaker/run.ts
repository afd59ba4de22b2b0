import { type Tick, tick } from '../../../lambda/breaker/breaker.ts';
import { AwsFailure } from '../../../lambda/errors.ts';
import { memoryLog } from '../../support/log.ts';
import { type AwsModel, createAwsModel, type Minute } from './aws-model.ts';

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
/** Some seconds past a minute, when the breaker looks. */
const START = Date.UTC(2026, 0, 1) + 5_000;

export const WELL: Minute = { blocked: 0, probeSucceeds: true, fates: [] };
export const AWAY: Minute = { blocked: 1, probeSucceeds: false, fates: [] };
/** The database is back, and nobody has received anything yet. */
export const BACK: Minute = { blocked: 1, probeSucceeds: true, fates: [] };

/** The breaker on a model of AWS, a minute at a time. */
export interface Run extends AwsModel {
  readonly violations: string[];
  readonly log: readonly string[];
  now(): number;
  /** One minute of the breaker. @returns what came of it; undefined where a call of AWS failed */
  play(minute: Minute, milliseconds?: number): Promise<Tick | undefined>;
}

export function createRun(): Run {
  const violations: string[] = [];
  const model = createAwsModel((rule) => violations.push(rule));
  const { log, lines } = memoryLog();
  let now = START;
  return {
    ...model,
    violations,
    get log() {
      return lines.map(({ message }) => message);
    },
    now: () => now,
    async play(minute, milliseconds = MINUTE) {
      now += milliseconds;
      model.next(minute);
      try {
        return await tick(model.surroundings, log, now);
      } catch (error) {
        if (!(error instanceof AwsFailure)) throw error;
        return undefined;
      }
    },
  };
}
