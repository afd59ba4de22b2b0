/** What becomes of a rate of events under given settings, from what was measured of batches. Pure arithmetic. */
import { defaultOf } from '../../lib/context-keys.ts';
import { ASSUMED, IO_BYTES, LIMIT, PAGE_BYTES, SECONDS_OF_DAY } from './scaling-aws.ts';
import type { BatchFigures, Figures } from './scaling-figures.ts';

/** Of the event source mapping and the function. */
export interface Settings {
  readonly batchSize: number;
  readonly windowSeconds: number;
  readonly maxConcurrency: number;
  readonly memoryMb: number;
}

const numberOf = (name: Parameters<typeof defaultOf>[0]) => Number(defaultOf(name));

/** Those of a deployment without options. */
export const DEFAULTS: Settings = {
  batchSize: numberOf('batchSize'),
  windowSeconds: numberOf('batchingWindowSeconds'),
  maxConcurrency: numberOf('maxConcurrency'),
  memoryMb: numberOf('memoryMb'),
};
export const DEFAULT_ACU = { min: numberOf('minAcu'), max: numberOf('maxAcu') };

/** How events get from the queue to the function. */
export interface Flow {
  /** Events that arrive in a second. */
  readonly rate: number;
  readonly pollers: number;
  /** Messages a second that they can receive. */
  readonly receivable: number;
  /** Events of a batch. */
  readonly events: number;
  /** Seconds from a batch's first message to its invocation. */
  readonly collect: number;
  /** Invocations a second. */
  readonly invocations: number;
  /** Milliseconds of one. */
  readonly duration: number;
  /** Invocations at a time, on average: Little's law. */
  readonly atATime: number;
  /** Connections that are enough nearly always; an environment has one. */
  readonly connections: number;
  /** Messages received and not yet deleted. */
  readonly inFlight: number;
  /** Seconds from arrival to commit of the first event of a batch. */
  readonly lag: number;
}

/** @param rate events a second */
export function flowOf(figures: Figures, rate: number, settings: Settings): Flow {
  const { windowSeconds, maxConcurrency, memoryMb } = settings;
  const wanted = Math.max(LIMIT.firstPollers, Math.ceil(rate / ASSUMED.messagesOfPoller));
  const pollers = Math.min(wanted, maxConcurrency);
  const receivable = pollers * ASSUMED.messagesOfPoller;
  const received = Math.min(rate, receivable);
  const share = received / pollers;
  const events = Math.max(1, Math.min(mostEvents(settings), share * windowSeconds));
  const collect = Math.min(windowSeconds, events / share);
  const invocations = received / events;
  const duration = durationOf(figures, events, memoryMb);
  const atATime = (invocations * duration) / 1_000;
  const lag = collect + duration / 1_000;
  return {
    rate,
    pollers,
    receivable,
    events,
    collect,
    invocations,
    duration,
    atATime,
    // Arrivals that know nothing of each other are Poisson's, and hardly ever three deviations above the mean.
    connections: Math.min(maxConcurrency, Math.ceil(atATime + 3 * Math.sqrt(atATime))),
    inFlight: received * lag,
    lag,
  };
}

/** Of one invocation: batch size or payload, whichever ends first. */
export function mostEvents({ batchSize }: Pick<Settings, 'batchSize'>): number {
  return Math.min(batchSize, Math.floor(LIMIT.payloadBytes / ASSUMED.recordBytes));
}

/** Milliseconds of an invocation. Less than a vCPU makes computing slower, not waiting; more is of no use to one thread. */
export function durationOf(figures: Figures, events: number, memoryMb: number): number {
  const vcpu = Math.min(1, memoryMb / LIMIT.memoryOfVcpu);
  const whole = ofBatch(figures, events, ({ handler }) => handler);
  const computing = functionCpu(figures, events) * events * 1e-3;
  return whole + computing * (1 / vcpu - 1) + ASSUMED.awayMilliseconds;
}

/** Microseconds an event. */
export function functionCpu(figures: Figures, events: number): number {
  return ofBatch(figures, events, (batch) => batch.functionCpu * batch.records) / events;
}

/** Microseconds an event. */
export function serverCpu(figures: Figures, events: number): number {
  return ofBatch(figures, events, (batch) => batch.serverCpu * batch.records) / events;
}

/** A straight line between the sizes that were measured; what is smaller costs as much as the smallest batch. */
function ofBatch({ batches }: Figures, events: number, cost: (batch: BatchFigures) => number): number {
  const above = batches.findIndex(({ records }) => records >= events);
  if (above === 0) return cost(batches[0]!);
  const [from, to] = batches.slice(above === -1 ? -2 : above - 1) as [BatchFigures, BatchFigures];
  const share = (events - from.records) / (to.records - from.records);
  return cost(from) + share * (cost(to) - cost(from));
}

/** What the database, and the processors of the functions, have to do. */
export interface Load {
  /** vCPUs' worth of computing, of the function and of the server. */
  readonly functionVcpu: number;
  readonly serverVcpu: number;
  /** Bytes of write-ahead log a second. */
  readonly wal: number;
  /** Write I/Os a second, as Aurora counts them. */
  readonly writes: number;
  /** Bytes of table and index a day. */
  readonly growth: number;
  /** Bytes of the day's part of the index when the day ends. */
  readonly indexOfDay: number;
  /** Capacity units to compute, and to hold that index in memory as well; where ids grow with time there is no need to. */
  readonly acu: { readonly computing: number; readonly cachingIndex: number };
  /** Days until autovacuum has to freeze the whole table, one transaction a batch. */
  readonly daysToFreeze: number;
}

export function loadOf(figures: Figures, { rate, events, invocations }: Flow): Load {
  const { table, index } = figures.stored;
  const serverVcpu = rate * serverCpu(figures, events) * 1e-6;
  const walOfBatch = ofBatch(figures, events, ({ wal, records }) => wal * records);
  const indexOfDay = rate * SECONDS_OF_DAY * index;
  const computing = sold((serverVcpu / ASSUMED.busy) * ASSUMED.acuOfVcpu);
  const caching = sold(indexOfDay / (LIMIT.bytesOfAcu * ASSUMED.cacheShare));
  return {
    functionVcpu: rate * functionCpu(figures, events) * 1e-6,
    serverVcpu,
    wal: invocations * walOfBatch,
    writes: invocations * Math.ceil(walOfBatch / IO_BYTES),
    growth: rate * SECONDS_OF_DAY * (table + index),
    indexOfDay,
    acu: { computing, cachingIndex: Math.max(computing, caching) },
    daysToFreeze: LIMIT.freezeAge / invocations / SECONDS_OF_DAY,
  };
}

/** Capacity units in the steps in which they are sold. */
function sold(acu: number): number {
  return Math.max(LIMIT.minAcu, Math.ceil(acu * 2) / 2);
}

/** A table with this many rows, of more than a page of the index. */
export interface History {
  readonly rows: number;
  readonly tableBytes: number;
  readonly indexBytes: number;
  /** Pages that a look-up reads from the root to the leaf. */
  readonly levels: number;
  /** Inserts after which autovacuum visits a table that is not partitioned (autovacuum_vacuum_insert_scale_factor). */
  readonly insertsToVacuum: number;
}

/** Of an index page: date and uuid, aligned, and 12 bytes of headers. */
const ENTRY_BYTES = 36;

export function historyOf({ stored }: Figures, rows: number): History {
  const indexBytes = rows * stored.index;
  const leaves = indexBytes / PAGE_BYTES;
  // An inner page is as full as a leaf, and the root takes what fits before there is another level.
  const innerLevels = Math.log(leaves / (PAGE_BYTES / ENTRY_BYTES)) / Math.log(PAGE_BYTES / stored.index);
  return {
    rows,
    tableBytes: rows * stored.table,
    indexBytes,
    levels: 2 + Math.max(0, Math.ceil(innerLevels)),
    insertsToVacuum: 1_000 + 0.2 * rows,
  };
}
