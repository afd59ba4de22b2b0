import { ASSUMED, LIMIT, SECONDS_OF_DAY } from './scaling-aws.ts';
import type { Figures } from './scaling-figures.ts';
import {
  DEFAULT_ACU,
  DEFAULTS,
  type Flow,
  flowOf,
  type Load,
  loadOf,
  type Settings,
} from './scaling-model.ts';

/** What the model recommends for a rate. */
export interface Recommendation {
  readonly settings: Settings;
  /** Queues, each with an event source mapping of its own, that share the events. */
  readonly queues: number;
  /** Of one of the queues. */
  readonly flow: Flow;
  /** Of all of them. */
  readonly load: Load;
  readonly minAcu: number;
  readonly maxAcu: number;
  /** The index of a day does not fit the largest instance, so ids have to grow with time. */
  readonly orderedIds: boolean;
}

/** The defaults as far as they go: more concurrency where pollers need it, more queues where too much is in flight. */
export function recommend(figures: Figures, rate: number): Recommendation {
  const inFlight = flowOf(figures, rate, { ...DEFAULTS, maxConcurrency: Number.POSITIVE_INFINITY }).inFlight;
  const queues = Math.ceil(inFlight / (LIMIT.inFlight * ASSUMED.busy));
  const pollers = rate / queues / ASSUMED.messagesOfPoller / ASSUMED.busy;
  const settings = { ...DEFAULTS, maxConcurrency: Math.max(DEFAULTS.maxConcurrency, upToTens(pollers)) };
  const flow = flowOf(figures, rate / queues, settings);
  const load = loadOf(figures, { ...flow, rate, invocations: flow.invocations * queues });
  const { computing, cachingIndex } = load.acu;
  const orderedIds = cachingIndex > LIMIT.maxAcu;
  return {
    settings,
    queues,
    flow,
    load,
    minAcu: Math.max(DEFAULT_ACU.min, computing),
    maxAcu: Math.max(DEFAULT_ACU.max, orderedIds ? computing : cachingIndex),
    orderedIds,
  };
}

const upToTens = (value: number) => Math.ceil(value / 10) * 10;

/** Something that ends, and at which rate. */
export interface Limit {
  readonly what: string;
  /** Events a second. */
  readonly rate: number;
  readonly remedy: string;
}

/** What ends first stands first. */
export function limitsOf(figures: Figures): Limit[] {
  const { table, index } = figures.stored;
  const poller = ASSUMED.messagesOfPoller;
  const cached = (acu: number) => (acu * LIMIT.bytesOfAcu * ASSUMED.cacheShare) / (SECONDS_OF_DAY * index);
  const computed = (acu: number) =>
    ((acu / ASSUMED.acuOfVcpu) * ASSUMED.busy) / (figures.batches.at(-1)!.serverCpu * 1e-6);
  const kept = (bytes: number, bytesOfEvent: number, days: number) =>
    bytes / bytesOfEvent / days / SECONDS_OF_DAY;
  const limits: Limit[] = [
    {
      what: `pollers at \`maxConcurrency\` ${DEFAULTS.maxConcurrency}`,
      rate: DEFAULTS.maxConcurrency * poller,
      remedy: '`maxConcurrency`',
    },
    {
      what: `a day's index in memory at \`maxAcu\` ${DEFAULT_ACU.max}`,
      rate: cached(DEFAULT_ACU.max),
      remedy: '`maxAcu`, or ids that grow with time',
    },
    {
      what: `120,000 messages in flight at a window of ${DEFAULTS.windowSeconds} s`,
      rate: LIMIT.inFlight / DEFAULTS.windowSeconds,
      remedy: 'another queue, or a smaller window',
    },
    {
      what: 'a table of 32 TiB, a year kept in it',
      rate: kept(LIMIT.tableBytes, table, 365),
      remedy: '`retentionDays`: a partition holds a day',
    },
    {
      what: 'a cluster of 128 TiB, a year kept in it',
      rate: kept(LIMIT.clusterBytes, table + index, 365),
      remedy: 'a shorter `retentionDays`',
    },
    {
      what: `a day's index in memory at ${LIMIT.maxAcu} units`,
      rate: cached(LIMIT.maxAcu),
      remedy: 'ids that grow with time',
    },
    {
      what: `pollers at \`maxConcurrency\` ${LIMIT.maxConcurrency}`,
      rate: LIMIT.maxConcurrency * poller,
      remedy: 'provisioned pollers, or another queue',
    },
    {
      what: `computing at \`maxAcu\` ${DEFAULT_ACU.max}, batches of 10,000`,
      rate: computed(DEFAULT_ACU.max),
      remedy: '`maxAcu`',
    },
    {
      what: `${LIMIT.provisionedPollers} provisioned pollers`,
      rate: LIMIT.provisionedPollers * poller,
      remedy: 'another queue',
    },
    {
      what: 'one connection, batches of 10,000',
      rate: 1e7 / figures.batches.at(-1)!.handler,
      remedy: 'nothing: Lambda opens as many as are busy',
    },
  ];
  return limits.toSorted((a, b) => a.rate - b.rate);
}

/** Memory at which a function has room for the largest batches. */
export const MEMORY_SIZES = [512, 1_024, LIMIT.memoryOfVcpu, 3_008] as const;
