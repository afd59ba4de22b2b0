import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Tick } from '../../../lambda/breaker/breaker.ts';
import { probesNeeded } from '../../../lambda/breaker/circuit.ts';
import type { CallFate, Minute } from './aws-model.ts';
import { AWAY, createRun, HOUR, MINUTE, type Run, WELL } from './run.ts';

interface Step extends Minute {
  /** Milliseconds since the last one. */
  readonly wait: number;
  /** What a person does before it. */
  readonly person: 'enables' | 'disables' | undefined;
}

const fate = fc.oneof(
  { weight: 6, arbitrary: fc.constant<CallFate>('goes well') },
  { weight: 1, arbitrary: fc.constantFrom<CallFate>('fails', 'fails afterwards') },
);
const step: fc.Arbitrary<Step> = fc.record({
  blocked: fc.constantFrom(0, 0, 1),
  probeSucceeds: fc.boolean(),
  fates: fc.array(fate, { maxLength: 8 }),
  // Minutes may be missed.
  wait: fc.nat({ max: 3 }).map((missed) => (missed + 1) * MINUTE),
  person: fc.option(fc.constantFrom('enables', 'disables'), { nil: undefined, freq: 10 }),
});
const steps = fc.array(step, { maxLength: 100, size: 'max' });

function playStep(run: Run, { wait, person, ...minute }: Step): Promise<Tick | undefined> {
  if (person !== undefined) run.person(person === 'enables');
  return run.play(minute, wait);
}

const isLeftToPerson = ({ disabledBy, memory }: Run) =>
  disabledBy() === 'person' && memory().state === 'closed';

describe('whatever calls fail and whatever people do', () => {
  it('it forgets no mapping that it has disabled, and enables none that a person has disabled', () =>
    fc.assert(
      fc.asyncProperty(steps, async (steps) => {
        const run = createRun();
        for (const step of steps) {
          await playStep(run, step);
          expect([run.disabledBy(), run.memory().state]).not.toEqual(['breaker', 'closed']);
        }
        expect(run.violations).toEqual([]);
      }),
      { numRuns: 200 },
    ));

  it('messages are received again when as many probes as it wants have succeeded', () =>
    fc.assert(
      fc.asyncProperty(steps, async (steps) => {
        const run = createRun();
        for (const step of steps) await playStep(run, step);
        const memory = run.memory();
        const wanted = memory.state === 'open' ? probesNeeded(memory) : 0;
        fc.pre(!isLeftToPerson(run));

        for (let minute = 0; minute < wanted + 3; minute++) await run.play(WELL);

        expect([run.disabledBy(), run.memory().state]).toEqual([undefined, 'closed']);
      }),
      { numRuns: 200 },
    ));

  it('nothing is received as soon as calls succeed and nothing is stored, be it just about to close', () =>
    fc.assert(
      fc.asyncProperty(steps, async (steps) => {
        const run = createRun();
        for (const step of steps) await playStep(run, step);
        const isLeft = isLeftToPerson(run);

        await run.play(AWAY);
        const tick = await run.play(AWAY, 3 * MINUTE);

        expect(tick?.stopped).toBe(true);
        expect(run.disabledBy()).toBeDefined();
        expect(run.memory().state).toBe(isLeft ? 'closed' : 'open');
      }),
      { numRuns: 200 },
    ));

  it('nothing depends on whether people can be told, but what they know', () =>
    fc.assert(
      fc.asyncProperty(steps, async (steps) => {
        const [told, untold] = [createRun(), createRun()];
        for (const step of steps) {
          await playStep(told, { ...step, fates: [] });
          await playStep(untold, { ...step, fates: [], tellFails: true });
          expect({ ...untold.memory(), toldAt: 0 }).toEqual({ ...told.memory(), toldAt: 0 });
          expect(untold.disabledBy()).toEqual(told.disabledBy());
        }
        expect(untold.told).toEqual([]);
      }),
      { numRuns: 200 },
    ));
});

describe('people are told again', () => {
  const REMINDER = 'Vizard: circuit breaker still open';

  it('at most once an hour', () =>
    fc.assert(
      fc.asyncProperty(steps, async (steps) => {
        const run = createRun();
        let last = Number.NEGATIVE_INFINITY;
        for (const step of steps) {
          const before = run.told.length;
          await playStep(run, { ...step, fates: [] });
          for (const subject of run.told.slice(before)) {
            if (subject === REMINDER) expect(run.now() - last).toBeGreaterThanOrEqual(HOUR);
            last = run.now();
          }
        }
      }),
      { numRuns: 200 },
    ));

  it('every hour while it is open', async () => {
    const { play, told } = createRun();

    for (let minute = 0; minute <= 24 * 60; minute++) {
      await play(AWAY);
      expect(told.length).toBe(1 + Math.floor(minute / 60));
    }

    expect(told.slice(1)).toEqual(new Array(24).fill(REMINDER));
  });
});
