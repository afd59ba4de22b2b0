import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Tick, tick } from '../../../lambda/breaker/breaker.ts';
import { probesNeeded } from '../../../lambda/breaker/circuit.ts';
import { AwsFailure } from '../../../lambda/errors.ts';
import { memoryLog } from '../../support/log.ts';
import { type AwsModel, type CallFate, createAwsModel, type Minute } from './aws-model.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** Some seconds past a minute, when the breaker looks. */
const START = Date.UTC(2026, 0, 1) + 5_000;

const WELL: Minute = { blocked: 0, probeSucceeds: true, fates: [] };
const AWAY: Minute = { blocked: 1, probeSucceeds: false, fates: [] };
/** The database is back, and nobody has received anything yet. */
const BACK: Minute = { blocked: 1, probeSucceeds: true, fates: [] };

interface Run extends AwsModel {
  readonly violations: string[];
  readonly log: readonly string[];
  now(): number;
  /** One minute of the breaker. @returns what came of it; undefined where a call of AWS failed */
  play(minute: Minute, milliseconds?: number): Promise<Tick | undefined>;
}

function createRun(): Run {
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

describe('the circuit breaker', () => {
  it('opens when invocations store nothing, remembers it before it disables the mapping, and tells people', async () => {
    const { play, calls, told, memory, disabledBy } = createRun();

    expect(await play(AWAY)).toEqual({ stopped: true, opened: true, closed: false });

    expect(calls).toEqual(['read', 'state', 'blockedShares', 'write', 'disable', 'tell', 'write']);
    expect(told).toEqual(['Vizard: circuit breaker opened']);
    expect([memory().state, disabledBy()]).toEqual(['open', 'breaker']);
  });

  it('probes while it is open, enables the mapping when a probe succeeds, and forgets when that is done', async () => {
    const { play, calls, told, memory, disabledBy } = createRun();
    await play(AWAY);

    expect(await play(AWAY)).toEqual({ stopped: true, opened: false, closed: false });
    expect([...calls, disabledBy()]).toEqual(['read', 'state', 'probe', 'breaker']);
    expect(await play(BACK)).toEqual({ stopped: true, opened: false, closed: false });
    expect(calls).toEqual(['read', 'state', 'probe', 'write', 'enable']);
    expect([memory().state, disabledBy()]).toEqual(['open', undefined]);
    expect(await play(BACK)).toEqual({ stopped: false, opened: false, closed: true });

    expect(calls).toEqual(['read', 'state', 'write', 'tell']);
    expect([memory().state, disabledBy()]).toEqual(['closed', undefined]);
    expect(told.at(-1)).toBe('Vizard: circuit breaker closed');
  });

  it('does nothing while all goes well', async () => {
    const { play, calls } = createRun();

    expect(await play(WELL)).toEqual({ stopped: false, opened: false, closed: false });
    expect(calls).toEqual(['read', 'state', 'blockedShares']);
  });

  it('leaves a mapping that a person has disabled, and says every hour that nothing is received', async () => {
    const { play, person, told, disabledBy } = createRun();
    person(false);

    for (let minute = 0; minute <= 120; minute++) {
      expect(await play(AWAY)).toEqual({ stopped: true, opened: false, closed: false });
    }

    expect(told).toEqual(new Array(3).fill('Vizard: no messages are received'));
    expect(disabledBy()).toBe('person');
  });

  it('goes on with what it did when a deployment takes its memory from it', async () => {
    const { play, deploy, told, memory, disabledBy } = createRun();
    await play(AWAY);
    deploy();

    await play(AWAY);
    expect([memory().state, disabledBy()]).toEqual(['open', 'breaker']);
    await play(BACK);
    await play(BACK);

    expect([memory().state, disabledBy()]).toEqual(['closed', undefined]);
    expect(told).toEqual([
      ...new Array(2).fill('Vizard: circuit breaker opened'),
      'Vizard: circuit breaker closed',
    ]);
  });

  it('takes a probe that could not be asked neither for a good one nor for a bad one', async () => {
    const { play, memory } = createRun();
    await play(AWAY);
    await play(BACK);
    await play(BACK);
    // Open again, and wanting more probes than one.
    await play(AWAY, 3 * MINUTE);
    await play(BACK);
    expect(memory()).toMatchObject({ goodProbes: 1 });

    await play({ ...BACK, fates: failing(2, 'fails') });

    expect(memory()).toMatchObject({ state: 'open', goodProbes: 1 });
  });

  it('enables the mapping again where AWS took that back', async () => {
    const { play, person, memory, disabledBy } = createRun();
    await play(AWAY);
    await play(BACK);
    person(false);

    await play(BACK);
    await play(BACK);

    expect([memory().state, disabledBy()]).toEqual(['closed', undefined]);
  });

  it('tells people in the next minute where they could not be told', async () => {
    const { play, told, memory } = createRun();

    expect(await play({ ...AWAY, tellFails: true })).toEqual({ stopped: true, opened: false, closed: false });
    expect(await play(AWAY)).toEqual({ stopped: true, opened: true, closed: false });

    expect(told).toEqual(['Vizard: circuit breaker opened']);
    expect(memory().state).toBe('open');
  });

  it('disables the mapping again where a person has enabled it before a probe succeeded', async () => {
    const { play, person, disabledBy } = createRun();
    await play(AWAY);
    person(true);

    expect(await play(AWAY)).toEqual({ stopped: true, opened: false, closed: false });
    expect(disabledBy()).toBe('breaker');
  });

  it.each<[string, number, CallFate]>([
    ['before it was remembered', 3, 'fails'],
    ['when it was remembered', 3, 'fails afterwards'],
    ['before the mapping was disabled', 4, 'fails'],
    ['when the mapping was disabled', 4, 'fails afterwards'],
  ])('makes good in the next minute an opening that was cut off %s', async (_, index, fate) => {
    const { play, memory, disabledBy } = createRun();

    expect(await play({ ...AWAY, fates: failing(index, fate) })).toBeUndefined();
    await play(AWAY);

    expect([memory().state, disabledBy()]).toEqual(['open', 'breaker']);
  });

  it.each<[string, number, number, CallFate]>([
    ['before the probe was remembered', 1, 3, 'fails'],
    ['when the probe was remembered', 1, 3, 'fails afterwards'],
    ['before the mapping was enabled', 1, 4, 'fails'],
    ['when the mapping was enabled', 1, 4, 'fails afterwards'],
    ['before it was forgotten', 2, 2, 'fails'],
    ['when it was forgotten', 2, 2, 'fails afterwards'],
  ])('makes good in the next minutes a closing that was cut off %s', async (_, minute, index, fate) => {
    const { play, memory, disabledBy } = createRun();
    await play(AWAY);

    for (let i = 1; i < minute; i++) await play(BACK);
    expect(await play({ ...BACK, fates: failing(index, fate) })).toBeUndefined();
    for (let i = 0; i < 3; i++) await play({ ...BACK, blocked: 0 });

    expect([memory().state, disabledBy()]).toEqual(['closed', undefined]);
  });
});

/** All calls of a minute go well but one. */
function failing(index: number, fate: CallFate): CallFate[] {
  return [...new Array<CallFate>(index).fill('goes well'), fate];
}

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
