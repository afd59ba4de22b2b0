/** The tables of docs/scaling.md, by name, as markdown. */
import { LIMIT, PRICE, SECONDS_OF_DAY } from './scaling-aws.ts';
import { costOf, invocationCost, type Plan } from './scaling-cost.ts';
import type { Figures } from './scaling-figures.ts';
import { count, dollars, figure, table } from './scaling-markdown.ts';
import { DEFAULT_ACU, DEFAULTS, durationOf, historyOf, mostEvents } from './scaling-model.ts';
import { limitsOf, type Recommendation, recommend } from './scaling-settings.ts';

const RATES = [10, 100, 1_000, 10_000, 100_000];
const ROWS = [1e6, 1e7, 1e8, 1e9, 1e10];
const MEMORY_SIZES = [512, 1_024, LIMIT.memoryOfVcpu, 3_008];
const GB = 1e9;
const TB = 1e12;

/** Each prints one table from the figures. */
export const TABLES: Readonly<Record<string, (figures: Figures) => string>> = {
  settings(figures) {
    return table(recommendations(figures), {
      'events/s': ({ rate }) => count(rate),
      batchSize: ({ settings }) => String(settings.batchSize),
      batchingWindowSeconds: ({ settings }) => String(settings.windowSeconds),
      maxConcurrency: ({ settings }) => String(settings.maxConcurrency),
      memoryMb: ({ settings }) => String(settings.memoryMb),
      minAcu: ({ minAcu }) => figure(minAcu),
      maxAcu: ({ maxAcu }) => figure(maxAcu),
      and: needsBeside,
    });
  },

  measured({ batches }) {
    return table(batches, {
      'events a batch': ({ records }) => count(records),
      'handler, ms a batch': ({ handler }) => figure(handler),
      'bare COPY, ms': ({ bareCopy }) => figure(bareCopy),
      'function, µs of processor an event': ({ functionCpu }) => figure(functionCpu),
      'server, µs of processor an event': ({ serverCpu }) => figure(serverCpu),
      'log, bytes an event': ({ wal }) => figure(wal),
    });
  },

  stored({ stored, memory, machine, rounds, date }) {
    const { cores, cpu, memory: gib, node, postgres } = machine;
    const lines: [string, string][] = [
      ['table, bytes an event', figure(stored.table)],
      ['index, bytes an event', figure(stored.index)],
      ['index, bytes an event, where ids grow with time', figure(stored.indexOfOrderedIds)],
      ['peak memory of the largest batches, MB above an idle process', figure(memory)],
      ['machine', `${cores} × ${cpu}, ${gib} GiB, Node ${node}, PostgreSQL ${postgres}`],
      ['run', `${date}, medians of ${rounds} rounds`],
    ];
    return table(lines, { figure: ([name]) => name, value: ([, value]) => value });
  },

  flow(figures) {
    return table(recommendations(figures), {
      'events/s': ({ rate, queues, flow }) =>
        queues === 1 ? count(rate) : `${count(rate)}; of each queue ${figure(flow.rate)}`,
      pollers: ({ flow }) => count(flow.pollers),
      'events a batch': ({ flow }) => count(flow.events),
      'invocations/s': ({ flow }) => figure(flow.invocations),
      'ms each': ({ flow }) => figure(flow.duration),
      'at a time': ({ flow }) => figure(flow.atATime),
      connections: ({ flow }) => count(flow.connections),
      'in flight': ({ flow }) => count(Number(flow.inFlight.toPrecision(3))),
      'lag, s': ({ flow }) => figure(flow.lag),
    });
  },

  load(figures) {
    return table(recommendations(figures), {
      'events/s': ({ rate }) => count(rate),
      'function, vCPU': ({ load }) => figure(load.functionVcpu),
      'server, vCPU': ({ load }) => figure(load.serverVcpu),
      'log, MB/s': ({ load }) => figure(load.wal / 1e6),
      'GB a day': ({ load }) => figure(load.growth / GB),
      'TB a year': ({ load }) => figure((load.growth * 365) / TB),
      "a day's index, GB": ({ load }) => figure(load.indexOfDay / GB),
      'ACU to compute': ({ load }) => figure(load.acu.computing),
      'ACU to hold that index': ({ load }) => figure(load.acu.cachingIndex),
      'days to freeze': ({ load }) => figure(load.daysToFreeze),
    });
  },

  cost(figures) {
    const plans = RATES.map((rate) => ({
      rate,
      plan: planOf(figures, rate, false),
      ordered: planOf(figures, rate, true),
    }));
    const items = plans.map(({ rate, plan, ordered }) => ({
      rate,
      cost: costOf(plan),
      ioOptimized: costOf({ ...plan, ioOptimized: true }),
      ordered: costOf(ordered),
    }));
    return table(items, {
      'events/s': ({ rate }) => count(rate),
      SQS: ({ cost }) => dollars(cost.sqs),
      Lambda: ({ cost }) => dollars(cost.lambda),
      capacity: ({ cost }) => dollars(cost.capacity),
      'I/O': ({ cost }) => dollars(cost.io),
      storage: ({ cost }) => dollars(cost.storage),
      'a month': ({ cost }) => dollars(cost.together),
      'a million events': ({ cost }) => dollars(cost.million),
      'I/O-Optimized, a month': ({ ioOptimized }) => dollars(ioOptimized.together),
      'ids that grow, a month': ({ ordered }) => dollars(ordered.together),
    });
  },

  memory(figures) {
    // A small batch, what a poller collects in five seconds, and the most that an invocation carries.
    const sizes = [10, 500, mostEvents(DEFAULTS)];
    return table(MEMORY_SIZES, {
      memoryMb: (memoryMb) => count(memoryMb),
      vCPU: (memoryMb) => (memoryMb / LIMIT.memoryOfVcpu).toFixed(2),
      ...Object.fromEntries(
        sizes.map((events) => [
          `${count(events)} events: ms, $ a million events`,
          (memoryMb: number) => {
            const duration = durationOf(figures, events, memoryMb);
            return `${figure(duration)}, ${((invocationCost(duration, memoryMb) / events) * 1e6).toFixed(4)}`;
          },
        ]),
      ),
    });
  },

  pollers(figures) {
    const items = [100, 300, 1_000].map((received) => {
      const events = Math.min(mostEvents(DEFAULTS), received * DEFAULTS.windowSeconds);
      const duration = durationOf(figures, events, DEFAULTS.memoryMb);
      return { received, events, rate: DEFAULTS.maxConcurrency / (1 / received + duration / 1_000 / events) };
    });
    return table(items, {
      'messages/s that a poller receives': ({ received }) => count(received),
      'events a batch at most': ({ events }) => count(events),
      [`events/s at maxConcurrency ${DEFAULTS.maxConcurrency}`]: ({ rate }) => figure(rate),
    });
  },

  history(figures) {
    return table(
      ROWS.map((rows) => historyOf(figures, rows)),
      {
        rows: ({ rows }) => count(rows),
        'table, GB': ({ tableBytes }) => figure(tableBytes / GB),
        'index, GB': ({ indexBytes }) => figure(indexBytes / GB),
        'levels of the index': ({ levels }) => count(levels),
        'days at 1,000/s': ({ rows }) => figure(rows / 1_000 / SECONDS_OF_DAY),
        'inserts between vacuums, not partitioned': ({ insertsToVacuum }) => count(insertsToVacuum),
        'storage, $ a month': ({ tableBytes, indexBytes }) =>
          dollars(((tableBytes + indexBytes) / GB) * PRICE.gbMonth),
      },
    );
  },

  limits(figures) {
    return table(limitsOf(figures), {
      'what ends': ({ what }) => what,
      'at events/s': ({ rate }) => count(Number(rate.toPrecision(2))),
      'what follows': ({ remedy }) => remedy,
    });
  },
};

type RatedRecommendation = Recommendation & { readonly rate: number };

function recommendations(figures: Figures): RatedRecommendation[] {
  return RATES.map((rate) => ({ rate, ...recommend(figures, rate) }));
}

function needsBeside({ rate, queues, orderedIds, maxAcu }: RatedRecommendation): string {
  const needs = [
    rate >= 1_000 && '`retentionDays`',
    orderedIds && 'ids that grow with time',
    !orderedIds && maxAcu > DEFAULT_ACU.max && `ids that grow with time, or this \`maxAcu\``,
    queues > 1 && `${queues} queues`,
  ];
  return needs.filter((need) => need !== false).join(', ');
}

/** The index of the day begins anew at midnight, so on average half of it is to be held. */
function planOf(figures: Figures, rate: number, idsGrow: boolean): Plan {
  const { flow, load, queues, settings, orderedIds } = recommend(figures, rate);
  const { computing, cachingIndex } = load.acu;
  return {
    flow: { ...flow, rate, pollers: flow.pollers * queues, invocations: flow.invocations * queues },
    load,
    memoryMb: settings.memoryMb,
    acu: idsGrow || orderedIds ? computing : Math.max(computing, cachingIndex / 2),
    ioOptimized: false,
  };
}
