import { describe, expect, it } from 'vitest';
import type { CallFate } from './aws-model.ts';
import { AWAY, BACK, createRun, MINUTE, WELL } from './run.ts';

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
