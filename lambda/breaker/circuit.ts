import { VizardError } from '../errors.ts';

/** What the breaker remembers from one minute to the next. Times are milliseconds since 1970 UTC. */
export type Memory = New | Closed | Open;

/** It has not run yet, or a deployment has written its memory anew: how things are says what it was. */
export interface New {
  readonly state: 'new';
}

/** Messages are received, unless a person has disabled the mapping. */
export interface Closed {
  readonly state: 'closed';
  /** When it closed; 0 when it never was open. */
  readonly since: number;
  /** How often, until then, it had opened again soon after it had closed. */
  readonly reopenings: number;
  /** When people were told last that nothing is received, or that it is again. */
  readonly toldAt: number;
}

/** Messages are left in the queue. */
export interface Open {
  readonly state: 'open';
  /** When it opened. */
  readonly since: number;
  readonly reopenings: number;
  /** Probes that went well since the last one that did not. */
  readonly goodProbes: number;
  /** When it had the mapping enabled; 0 when it has not. */
  readonly enabledAt: number;
  /** When people were told last; 0 when they do not know yet. */
  readonly toldAt: number;
}

/** The event source mapping, as it is; `changing` while AWS is at it. */
export type MappingState = 'enabled' | 'disabled' | 'changing';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** How far back reports count: at low traffic a batch that failed comes back once in a visibility timeout, six minutes. */
const WINDOW = 15 * MINUTE;
/** Minutes, not all in a row, in which many of the invocations could store nothing: as many as leave a message half its receives. */
const BLOCKED_MINUTES = 2;
/** Soon after it closed: what it had opened for is not over, and has cost receives. */
const BLOCKED_MINUTES_AGAIN = 1;
/** Of a minute's invocations. Where it is always a little less, one message in 1,000 is unlucky in all of five receives. */
const MANY = 0.25;
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

/** What it is without a memory of its own. A mapping that is disabled then is probed for and enabled, not forgotten. */
export function adopt(memory: Memory, mapping: MappingState, now: number): Closed | Open {
  if (memory.state !== 'new') return memory;
  return mapping === 'disabled'
    ? { state: 'open', since: now, reopenings: 0, goodProbes: 0, enabledAt: 0, toldAt: 0 }
    : { state: 'closed', since: 0, reopenings: 0, toldAt: 0 };
}

/** @returns the breaker opened, which nobody knows yet */
export function opened(memory: Closed, now: number): Open {
  const reopenings = hasJustClosed(memory, now) ? memory.reopenings + 1 : 0;
  return { state: 'open', since: now, reopenings, goodProbes: 0, enabledAt: 0, toldAt: 0 };
}

/** @returns the breaker closed since it had the mapping enabled: what is reported from then on counts */
export function closed({ enabledAt, reopenings }: Open, now: number): Closed {
  return { state: 'closed', since: enabledAt, reopenings, toldAt: now };
}

function hasJustClosed({ since }: Closed, now: number): boolean {
  return now - since < HOUR;
}

/** Whether as many probes went well in a row as it takes. */
export function mayClose(memory: Open): boolean {
  return memory.goodProbes >= probesNeeded(memory);
}

/** How many good probes in a row close it. */
export function probesNeeded({ reopenings }: Open): number {
  return Math.min(MOST_PROBES, FEWEST_PROBES * PROBES_FACTOR ** reopenings);
}

/** Whether people have to be told, for the first time or again: every hour. */
export function isNoticeDue({ toldAt }: Closed | Open, now: number): boolean {
  return now - toldAt >= HOUR;
}

/** As JSON, with times that a person can read. */
export function formatMemory(memory: Memory): string {
  return JSON.stringify(memory, (name, value: unknown) =>
    TIMES.has(name) ? new Date(value as number).toISOString() : value,
  );
}

const TIMES: ReadonlySet<string> = new Set(['since', 'enabledAt', 'toldAt'] satisfies (keyof Open)[]);

/**
 * @param source where it is kept, as the error names it
 * @throws VizardError
 */
export function parseMemory(text: string, source: string): Memory {
  const { state, since, enabledAt, toldAt, reopenings, goodProbes } = members(text);
  const counts = { since: time(since), reopenings: count(reopenings), toldAt: time(toldAt) };
  if (state === 'new') return { state };
  if (state === 'closed') return { state, ...counts };
  if (state === 'open') {
    return { state, ...counts, goodProbes: count(goodProbes), enabledAt: time(enabledAt) };
  }
  throw new VizardError(
    `${source}: expected {"state":"new"}, "closed" or "open", got ${text.length} other characters; write one of them`,
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
