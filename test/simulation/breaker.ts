import { type Surroundings, tick } from '../../lambda/breaker/breaker.ts';
import { formatMemory, parseMemory } from '../../lambda/breaker/circuit.ts';
import { AwsFailure } from '../../lambda/errors.ts';
import { BREAKER_INITIAL_MEMORY } from '../../lambda/names.ts';
import type { Random } from '../soak/random.ts';
import { memoryLog } from '../support/log.ts';
import { MINUTE, SECOND, type VirtualClock } from './clock.ts';
import type { SimulatedMapping } from './event-source-mapping.ts';
import type { Reports } from './reports.ts';

/** The real circuit breaker on simulated services, run every minute. */
export interface SimulatedBreaker {
  figures(): BreakerFigures;
}

export interface BreakerFigures {
  readonly opened: number;
  /** When it closed for the last time, in milliseconds since 1970 UTC. */
  readonly closedAt: number | undefined;
  /** Subjects of what people were told, in its order. */
  readonly told: readonly string[];
}

/** Minutes in which EventBridge or Lambda does not run it. */
const LOST = 0.02;
/** Calls that fail, half of them after they have done what was asked. */
const FAILED = 0.01;

export function createBreaker(
  clock: VirtualClock,
  mapping: SimulatedMapping,
  reports: Reports,
  probe: Surroundings['probe'],
  random: Random,
): SimulatedBreaker {
  let text: string = BREAKER_INITIAL_MEMORY;
  let opened = 0;
  let closedAt: number | undefined;
  const told: string[] = [];

  function remember(next: string): void {
    const [before, after] = [parseMemory(text, 'before'), parseMemory(next, 'after')];
    if (before.state !== 'open' && after.state === 'open') opened++;
    if (before.state === 'open' && after.state === 'closed') closedAt = clock.now();
    text = next;
  }

  /** A call of AWS. */
  async function call<T>(work: () => T): Promise<T> {
    const fails = random.chance(FAILED);
    const failure = new AwsFailure('a call of AWS failed', 'InternalFailure');
    if (fails && random.chance(0.5)) throw failure;
    const result = work();
    if (fails) throw failure;
    return result;
  }

  const surroundings: Surroundings = {
    memory: {
      read: () => call(() => parseMemory(text, 'the memory')),
      write: (memory) => call(() => remember(formatMemory(memory))),
    },
    mapping: {
      state: () => call(() => mapping.state()),
      enable: () => call(() => mapping.setEnabled(true)),
      disable: () => call(() => mapping.setEnabled(false)),
    },
    blockedShares: (from, to) => call(() => reports.averages(from, to)),
    probe,
    tell: (subject) => call(() => void told.push(subject)),
  };

  clock.start(async () => {
    for (let minute = Math.ceil(clock.now() / MINUTE); ; minute++) {
      await clock.until(minute * MINUTE + random.integer(0, 10) * SECOND);
      if (random.chance(LOST)) continue;
      await clock.during(() => tick(surroundings, memoryLog().log, clock.now())).catch(expectFailedCall);
    }
  });

  return { figures: () => ({ opened, closedAt, told }) };
}

/** The next minute makes it good. */
function expectFailedCall(error: unknown): void {
  if (!(error instanceof AwsFailure)) throw error;
}
