import type { Log } from '../log.ts';
import {
  afterBadProbe,
  afterGoodProbe,
  isReminderDue,
  type Memory,
  mustOpen,
  type Open,
  opened,
  probesNeeded,
  reportedMinutes,
} from './circuit.ts';

/** What the breaker has to do with. Everything throws a VizardError when it fails, unless it says otherwise. */
export interface Surroundings {
  readonly memory: { read(): Promise<Memory>; write(memory: Memory): Promise<void> };
  /** The event source mapping: while it is disabled, messages stay in the queue and use up no receives. */
  readonly mapping: { isEnabled(): Promise<boolean>; enable(): Promise<void>; disable(): Promise<void> };
  /**
   * What invocations reported.
   *
   * @param from milliseconds since 1970 UTC, a whole minute
   * @param to excluded
   * @returns for each minute that had invocations the share that could store nothing, 0-1
   */
  blockedShares(from: number, to: number): Promise<readonly number[]>;
  /**
   * Does what a write needs.
   *
   * @returns why it failed, in one line; undefined when it went well. Never throws
   */
  probe(): Promise<string | undefined>;
  /** Tells people. */
  tell(subject: string, text: string): Promise<void>;
}

/** What came of one minute. */
export interface Tick {
  /** No messages are received now, by the breaker or because a person disabled the mapping. */
  readonly stopped: boolean;
  readonly opened: boolean;
  readonly closed: boolean;
}

const NOTHING_NEW = { opened: false, closed: false } as const;

/**
 * The breaker's work of one minute. It looks at how things are, not at what changed, so a minute that was missed, done twice
 * or cut off anywhere is made good by the next one.
 *
 * @param now milliseconds since 1970 UTC
 */
export async function tick(surroundings: Surroundings, log: Log, now: number): Promise<Tick> {
  const { memory, mapping, blockedShares } = surroundings;
  const known = await memory.read();
  const enabled = await mapping.isEnabled();
  if (known.state === 'open') return tryToClose(surroundings, log, known, enabled, now);
  // Disabled, but not by us: a person has a reason.
  if (!enabled) return { stopped: true, ...NOTHING_NEW };
  const [from, to] = reportedMinutes(known, now);
  if (from >= to || !mustOpen(known, await blockedShares(from, to), now))
    return { stopped: false, ...NOTHING_NEW };
  const next = opened(known, now);
  // Remembered first: what is open in memory and enabled in fact is disabled in the next minute; what is disabled and not
  // remembered would stay so.
  await memory.write(next);
  await mapping.disable();
  log.warn('circuit breaker opened', {});
  await tellPeople(surroundings, log, OPENED, whatHappensNext(next));
  return { stopped: true, opened: true, closed: false };
}

async function tryToClose(
  surroundings: Surroundings,
  log: Log,
  known: Open,
  enabled: boolean,
  now: number,
): Promise<Tick> {
  const { memory, mapping, probe } = surroundings;
  const problem = await probe();
  const next = problem === undefined ? afterGoodProbe(known, now) : afterBadProbe(known);
  if (next.state === 'closed') {
    await mapping.enable();
    await memory.write(next);
    log.info('circuit breaker closed', {});
    await tellPeople(
      surroundings,
      log,
      CLOSED,
      `Messages are received again. It was open ${since(known, now)}.`,
    );
    return { stopped: false, opened: false, closed: true };
  }
  if (problem !== undefined) log.warn(`probe failed: ${problem}`, {});
  if (enabled) await mapping.disable();
  const told = isReminderDue(next, now) ? { ...next, toldAt: now } : next;
  if (told.goodProbes !== known.goodProbes || told.toldAt !== known.toldAt) await memory.write(told);
  if (told !== next) {
    const state = problem === undefined ? whatHappensNext(next) : `The last probe failed: ${problem}.`;
    await tellPeople(surroundings, log, REMINDER, `It has been open ${since(known, now)}. ${state}`);
  }
  return { stopped: true, ...NOTHING_NEW };
}

const OPENED = 'circuit breaker opened';
const CLOSED = 'circuit breaker closed';
const REMINDER = 'circuit breaker still open';
const RUNBOOK = 'Runbook: docs/operations.md#stopped';

function whatHappensNext(memory: Open): string {
  const probes = probesNeeded(memory);
  return (
    'Invocations could store nothing, so messages are left in the queue, where they use up no receives. ' +
    `A probe every minute tries a write; ${probes === 1 ? 'the first that succeeds closes' : `${probes} that succeed in a row close`} it.`
  );
}

function since({ since }: Open, now: number): string {
  const minutes = Math.round((now - since) / 60_000);
  return `for ${minutes} minutes, since ${new Date(since).toISOString()}`;
}

/** Whoever cannot be told now is told by the alarm, and by the next reminder. */
async function tellPeople({ tell }: Surroundings, log: Log, subject: string, text: string): Promise<void> {
  try {
    await tell(`Vizard: ${subject}`, `${text} ${RUNBOOK}`);
  } catch {
    log.error('the topic could not be told', {});
  }
}
