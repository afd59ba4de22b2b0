import { AwsFailure } from '../errors.ts';
import type { Log } from '../log.ts';
import {
  adopt,
  type Closed,
  closed,
  isNoticeDue,
  type MappingState,
  type Memory,
  mayClose,
  mustOpen,
  type Open,
  opened,
  probesNeeded,
  reportedMinutes,
} from './circuit.ts';

/** What the breaker has to do with. Everything throws an AwsFailure when it fails. */
export interface Surroundings {
  readonly memory: { read(): Promise<Memory>; write(memory: Closed | Open): Promise<void> };
  /**
   * The event source mapping: while it is disabled, messages stay in the queue and use up no receives. Changes take AWS
   * some time.
   */
  readonly mapping: { state(): Promise<MappingState>; enable(): Promise<void>; disable(): Promise<void> };
  /**
   * What invocations reported.
   *
   * @param from milliseconds since 1970 UTC, a whole minute
   * @param to excluded
   * @returns for each minute with reports the share that could store nothing, 0-1; in any order
   */
  blockedShares(from: number, to: number): Promise<readonly number[]>;
  /**
   * Does what a write needs.
   *
   * @returns why it failed, in one line; undefined when it went well
   * @throws AwsFailure where it could not be asked
   */
  probe(): Promise<string | undefined>;
  /** Tells people. */
  tell(subject: string, text: string): Promise<void>;
}

/** What came of one minute. */
export interface Tick {
  /** No messages are received now, by the breaker or because a person disabled the mapping. */
  readonly stopped: boolean;
  /** People were told that it has opened. */
  readonly opened: boolean;
  readonly closed: boolean;
}

const RECEIVING: Tick = { stopped: false, opened: false, closed: false };
const STOPPED: Tick = { stopped: true, opened: false, closed: false };

/**
 * The breaker's work of one minute. It looks at how things are, not at what changed, so a minute that was missed, done twice
 * or cut off anywhere is made good by the next one.
 *
 * @param now milliseconds since 1970 UTC
 */
export async function tick(surroundings: Surroundings, log: Log, now: number): Promise<Tick> {
  const { memory, mapping } = surroundings;
  const remembered = await memory.read();
  const state = await mapping.state();
  const known = adopt(remembered, state, now);
  if (known.state === 'open') return whileOpen(surroundings, log, known, state, now);
  if (state === 'disabled') return whileDisabledByPerson(surroundings, log, known, now);
  const [from, to] = reportedMinutes(known, now);
  const shares = from < to ? await surroundings.blockedShares(from, to) : [];
  if (!mustOpen(known, shares, now)) {
    if (remembered.state === 'new') await memory.write(known);
    return RECEIVING;
  }
  const open = opened(known, now);
  // Remembered first: what is open in memory and enabled in fact is disabled in the next minute; what is disabled and not
  // remembered would stay so.
  await memory.write(open);
  await mapping.disable();
  log.warn('circuit breaker opened', {});
  return notify(surroundings, log, open, OPENED, whatHappensNext(open), now);
}

async function whileOpen(
  surroundings: Surroundings,
  log: Log,
  known: Open,
  state: MappingState,
  now: number,
): Promise<Tick> {
  const { memory, mapping } = surroundings;
  if (state === 'enabled' && known.enabledAt > 0) return close(surroundings, log, known, now);
  // What AWS is at takes seconds, and can't be changed meanwhile.
  if (state === 'changing') return STOPPED;
  const { goodProbes, problem } = await probed(surroundings, log, known);
  const probedMemory = { ...known, goodProbes, enabledAt: 0 };
  const closes = state === 'disabled' && mayClose(probedMemory);
  const next = closes ? { ...probedMemory, enabledAt: now } : probedMemory;
  if (next.goodProbes !== known.goodProbes || next.enabledAt !== known.enabledAt) await memory.write(next);
  // It counts as closed when AWS has done it.
  if (closes) await mapping.enable();
  else if (state === 'enabled') await mapping.disable();
  if (!isNoticeDue(next, now)) return STOPPED;
  const reason = problem === undefined ? whatHappensNext(next) : `The last probe failed: ${problem}.`;
  return next.toldAt === 0
    ? notify(surroundings, log, next, OPENED, reason, now)
    : notify(surroundings, log, next, REMINDER, `It has been open ${duration(next, now)}. ${reason}`, now);
}

/** How many good probes there are now, and what was wrong with the last one. One that could not be asked says nothing. */
async function probed(
  { probe }: Surroundings,
  log: Log,
  { goodProbes }: Open,
): Promise<{ goodProbes: number; problem: string | undefined }> {
  try {
    const problem = await probe();
    if (problem === undefined) return { goodProbes: goodProbes + 1, problem };
    log.warn(`probe failed: ${problem}`, {});
    return { goodProbes: 0, problem };
  } catch (error) {
    if (!(error instanceof AwsFailure)) throw error;
    log.error(error.message, {});
    return { goodProbes, problem: error.message };
  }
}

async function close(surroundings: Surroundings, log: Log, known: Open, now: number): Promise<Tick> {
  await surroundings.memory.write(closed(known, now));
  log.info('circuit breaker closed', {});
  const text = `Messages are received again. It was open ${duration(known, now)}.`;
  await told(surroundings, log, CLOSED, text);
  return { stopped: false, opened: false, closed: true };
}

/** A person has a reason, and may forget it. */
async function whileDisabledByPerson(
  surroundings: Surroundings,
  log: Log,
  known: Closed,
  now: number,
): Promise<Tick> {
  log.warn('the event source mapping is disabled, and not by the circuit breaker', {});
  if (!isNoticeDue(known, now)) return STOPPED;
  const text = 'The event source mapping is disabled, and not by the circuit breaker, which leaves it so.';
  await notify(surroundings, log, known, DISABLED, text, now);
  return STOPPED;
}

const OPENED = 'circuit breaker opened';
const CLOSED = 'circuit breaker closed';
const REMINDER = 'circuit breaker still open';
const DISABLED = 'no messages are received';
const RUNBOOK = 'Runbook: docs/operations.md#stopped';

function whatHappensNext(memory: Open): string {
  const probes = probesNeeded(memory);
  return (
    'Many invocations could store nothing, so messages are left in the queue, where they use up no receives. ' +
    `A probe every minute tries a write; ${probes === 1 ? 'the first that succeeds closes' : `${probes} that succeed in a row close`} it.`
  );
}

function duration({ since }: Open, now: number): string {
  const minutes = Math.round((now - since) / 60_000);
  return `for ${minutes} minutes, since ${new Date(since).toISOString()}`;
}

/** Tells people that nothing is received, and remembers that they know. */
async function notify(
  surroundings: Surroundings,
  log: Log,
  known: Closed | Open,
  subject: string,
  text: string,
  now: number,
): Promise<Tick> {
  if (!(await told(surroundings, log, subject, text))) return STOPPED;
  await surroundings.memory.write({ ...known, toldAt: now });
  return { ...STOPPED, opened: subject === OPENED };
}

/** @returns false where they cannot be told now: the next minute tries again, and the alarm tells them too */
async function told({ tell }: Surroundings, log: Log, subject: string, text: string): Promise<boolean> {
  try {
    await tell(`Vizard: ${subject}`, `${text} ${RUNBOOK}`);
    return true;
  } catch (error) {
    if (!(error instanceof AwsFailure)) throw error;
    log.error(error.message, {});
    return false;
  }
}
