import { VizardError } from '../errors.ts';

/** Messages are received; or they are not, and wait in the queue. Times are milliseconds since 1970 UTC. */
export type Memory = Closed | Open;

export interface Closed {
  readonly state: 'closed';
  /** When it closed; 0 when it never was open. */
  readonly since: number;
  /** How often, until then, it had opened again soon after it had closed. */
  readonly reopenings: number;
}

export interface Open {
  readonly state: 'open';
  /** When it opened. */
  readonly since: number;
  readonly reopenings: number;
  /** Probes that went well since the last one that did not. */
  readonly goodProbes: number;
  /** When people were told last. */
  readonly toldAt: number;
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** How far back reports count: at low traffic a batch that failed comes back once in a visibility timeout, six minutes. */
const WINDOW = 15 * MINUTE;
/** Minutes, not all in a row, in which many of the invocations could store nothing: as many as leave a message half its receives. */
const BLOCKED_MINUTES = 2;
/** Soon after it closed: what it had opened for is not over, and has cost receives. */
const BLOCKED_MINUTES_AGAIN = 1;
/** Of a minute's invocations. Where it is always a little less, one message in 100,000 is unlucky in all of five receives. */
const MANY = 0.1;
/** Good probes in a row that close it, when it opened after a quiet time. A minute each. */
const FEWEST_PROBES = 1;
/** Each reopening asks for more of them, so that a database that comes and goes costs a message few of its receives. */
const PROBES_FACTOR = 8;
const MOST_PROBES = 60;

/** Which minutes count: whole ones that began since it closed. @returns [from, to) */
export function reportedMinutes({ since }: Closed, now: number): [from: number, to: number] {
  const to = Math.floor(now / MINUTE) * MINUTE;
  return [Math.max(to - WINDOW, Math.ceil(since / MINUTE) * MINUTE), to];
}

/**
 * Whether messages are using up their receives. Minutes that went well between do not count against it: another message was
 * lucky in them.
 *
 * @param shares of the invocations that could store nothing, 0-1, for each of the reported minutes that had any
 */
export function mustOpen(memory: Closed, shares: readonly number[], now: number): boolean {
  const blocked = shares.filter((share) => share >= MANY).length;
  return blocked >= (hasJustClosed(memory, now) ? BLOCKED_MINUTES_AGAIN : BLOCKED_MINUTES);
}

/** @returns the breaker opened */
export function opened(memory: Closed, now: number): Open {
  const reopenings = hasJustClosed(memory, now) ? memory.reopenings + 1 : 0;
  return { state: 'open', since: now, reopenings, goodProbes: 0, toldAt: now };
}

function hasJustClosed({ since }: Closed, now: number): boolean {
  return now - since < HOUR;
}

/** @returns the breaker after a probe that went well: closed, where it was the last that it waited for */
export function afterGoodProbe(memory: Open, now: number): Memory {
  const goodProbes = memory.goodProbes + 1;
  return goodProbes < probesNeeded(memory)
    ? { ...memory, goodProbes }
    : { state: 'closed', since: now, reopenings: memory.reopenings };
}

/** @returns the breaker after a probe that failed */
export function afterBadProbe(memory: Open): Open {
  return { ...memory, goodProbes: 0 };
}

/** How many good probes in a row close it. */
export function probesNeeded({ reopenings }: Open): number {
  return Math.min(MOST_PROBES, FEWEST_PROBES * PROBES_FACTOR ** reopenings);
}

/** Whether people have to be told again that it is open: every hour. */
export function isReminderDue({ toldAt }: Open, now: number): boolean {
  return now - toldAt >= HOUR;
}

/** As JSON, with times that a person can read. */
export function formatMemory(memory: Memory): string {
  return JSON.stringify(memory, (name, value: unknown) =>
    TIMES.has(name) ? new Date(value as number).toISOString() : value,
  );
}

const TIMES: ReadonlySet<string> = new Set(['since', 'toldAt'] satisfies (keyof Open)[]);

/**
 * @param source where it is kept, as the error names it
 * @throws VizardError
 */
export function parseMemory(text: string, source: string): Memory {
  const { state, since, toldAt, reopenings, goodProbes } = members(text);
  const counts = { since: time(since), reopenings: count(reopenings) };
  if (state === 'closed') return { state, ...counts };
  if (state === 'open') return { state, ...counts, goodProbes: count(goodProbes), toldAt: time(toldAt) };
  throw new VizardError(
    `${source}: expected {"state":"closed"} or {"state":"open"}, got ${text.length} other characters; write one of them`,
  );
}

function members(text: string): Readonly<Record<string, unknown>> {
  try {
    return { ...(JSON.parse(text) as object) };
  } catch {
    return {};
  }
}

/** Whoever writes the state by hand need not know the rest. */
function time(value: unknown): number {
  return (typeof value === 'string' && Date.parse(value)) || 0;
}

function count(value: unknown): number {
  return typeof value === 'number' && value >= 0 ? value : 0;
}
