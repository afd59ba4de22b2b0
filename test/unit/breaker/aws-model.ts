import type { Surroundings } from '../../../lambda/breaker/breaker.ts';
import { formatMemory, type Memory, parseMemory } from '../../../lambda/breaker/circuit.ts';
import { AwsFailure } from '../../../lambda/errors.ts';
import { BREAKER_INITIAL_MEMORY } from '../../../lambda/names.ts';

/** How a call goes: well, or it fails before or after it has done what was asked. */
export type CallFate = 'goes well' | 'fails' | 'fails afterwards';

/** What the circuit breaker works with, in small. */
export interface AwsModel {
  readonly surroundings: Surroundings;
  memory(): Memory;
  /** Who disabled the mapping; undefined while it is enabled. */
  disabledBy(): Disabler | undefined;
  /** Somebody else changes the mapping. */
  person(enabled: boolean): void;
  /** A deployment writes the memory of the template. */
  deploy(): void;
  /** Subjects of what people were told. */
  readonly told: string[];
  /** What was called in the last minute, in its order. */
  readonly calls: string[];
  /** Begins another minute. */
  next(minute: Minute): void;
}

export type Disabler = 'breaker' | 'person';

export interface Minute {
  /** Share of the invocations of each reported minute that could store nothing. */
  readonly blocked: number;
  readonly probeSucceeds: boolean;
  /** Of the calls of the minute, in their order; what is missing goes well. */
  readonly fates: readonly CallFate[];
  /** Whether telling people fails. @default as its fate is */
  readonly tellFails?: boolean;
}

/** @param violated told when the mapping is enabled although it must not be */
export function createAwsModel(violated: (rule: string) => void): AwsModel {
  let text: string = formatMemory({ state: 'closed', since: 0, reopenings: 0, toldAt: 0 });
  let disabledBy: Disabler | undefined;
  let minute: Minute = { blocked: 0, probeSucceeds: true, fates: [] };
  const told: string[] = [];
  const calls: string[] = [];
  const memory = () => parseMemory(text, 'MEMORY');

  async function call<T>(name: string, work: () => T, fate = minute.fates[calls.length]): Promise<T> {
    calls.push(name);
    const failure = new AwsFailure(`${name} failed`, 'InternalFailure');
    if (fate === 'fails') throw failure;
    const result = work();
    if (fate === 'fails afterwards') throw failure;
    return result;
  }

  function enable(): void {
    if (memory().state === 'closed') violated('enabled while the memory says closed');
    disabledBy = undefined;
  }

  return {
    surroundings: {
      memory: {
        read: () => call('read', memory),
        write: (next) =>
          call('write', () => {
            text = formatMemory(next);
          }),
      },
      mapping: {
        state: () => call('state', () => (disabledBy === undefined ? 'enabled' : 'disabled')),
        enable: () => call('enable', enable),
        disable: () =>
          call('disable', () => {
            disabledBy ??= 'breaker';
          }),
      },
      blockedShares: (from, to) =>
        call('blockedShares', () => new Array<number>((to - from) / 60_000).fill(minute.blocked)),
      probe: () =>
        call('probe', () =>
          minute.probeSucceeds ? undefined : 'the database cannot be reached (ECONNREFUSED)',
        ),
      tell: (subject) =>
        call('tell', () => void told.push(subject), minute.tellFails === true ? 'fails' : undefined),
    },
    memory,
    disabledBy: () => disabledBy,
    person(enabled) {
      disabledBy = enabled ? undefined : (disabledBy ?? 'person');
    },
    deploy() {
      text = BREAKER_INITIAL_MEMORY;
    },
    told,
    calls,
    next(following) {
      minute = following;
      calls.length = 0;
    },
  };
}
