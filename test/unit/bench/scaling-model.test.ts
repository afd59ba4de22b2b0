import { describe, expect, it } from 'vitest';
import { costOf, invocationCost, type Plan } from '../../bench/scaling-cost.ts';
import type { Figures } from '../../bench/scaling-figures.ts';
import { DEFAULTS, durationOf, flowOf, historyOf, loadOf, mostEvents } from '../../bench/scaling-model.ts';

/** A millisecond a batch and ten microseconds an event, half of which the function computes. */
const figures: Figures = {
  date: '2026-01-01',
  command: 'a command',
  machine: {
    cpu: 'a processor',
    cores: 2,
    memory: 8,
    platform: 'linux x64',
    node: 'v24.0.0',
    postgres: '18.4',
  },
  rounds: 15,
  batches: [10, 100, 1_000, 10_000].map((records) => ({
    records,
    handler: 1 + records / 100,
    bareCopy: records / 100,
    functionCpu: 5,
    serverCpu: 4,
    wal: 300,
  })),
  stored: { table: 200, index: 50, indexOfOrderedIds: 40 },
  memory: 200,
};
/** Milliseconds to a database on another machine. */
const AWAY = 10;

describe('the flow', () => {
  it.each([
    { rate: 10, pollers: 5, events: 10, invocations: 1 },
    { rate: 500, pollers: 5, events: 500, invocations: 1 },
    { rate: 1_000, pollers: 10, events: 500, invocations: 2 },
  ])('of $rate events a second is shared by $pollers pollers', ({ rate, ...expected }) => {
    expect(flowOf(figures, rate, DEFAULTS)).toMatchObject({
      receivable: expected.pollers * 100,
      ...expected,
    });
  });

  it('of fewer events than pollers is one event a batch, and none waits for another', () => {
    expect(flowOf(figures, 0.5, DEFAULTS)).toMatchObject({ events: 1, invocations: 0.5 });
  });

  it('of more than the pollers receive is what they receive', () => {
    const flow = flowOf(figures, 5_000, DEFAULTS);

    expect(flow.receivable).toBe(1_000);
    expect(flow.events * flow.invocations).toBeCloseTo(1_000);
  });

  it('has as many invocations at a time as begin while one runs', () => {
    const { invocations, duration, atATime } = flowOf(figures, 1_000, DEFAULTS);

    expect(duration).toBe(1 + 5 + AWAY);
    expect(atATime).toBeCloseTo((invocations * duration) / 1_000);
  });

  it('never wants more connections than there may be invocations', () => {
    const slow = { ...figures, batches: figures.batches.map((batch) => ({ ...batch, handler: 60_000 })) };

    expect(flowOf(slow, 1_000, DEFAULTS).connections).toBe(DEFAULTS.maxConcurrency);
  });

  it('ends a batch at the window, the batch size or the payload', () => {
    const long = { ...DEFAULTS, windowSeconds: 300 };

    expect(flowOf(figures, 500, DEFAULTS)).toMatchObject({ events: 500, collect: 5 });
    expect(flowOf(figures, 500, { ...long, batchSize: 1_000 })).toMatchObject({ events: 1_000, collect: 10 });
    expect(flowOf(figures, 500, long).events).toBe(mostEvents(DEFAULTS));
    expect(mostEvents(DEFAULTS)).toBe(6_049);
  });
});

describe('the duration', () => {
  it.each([
    [1, 1.1],
    [10, 1.1],
    [550, 6.5],
    [10_000, 101],
    [20_000, 201],
  ])('of %i events lies between what was measured, or on', (events, milliseconds) => {
    expect(durationOf(figures, events, 1_769)).toBeCloseTo(milliseconds + AWAY);
  });

  it('of half a vCPU has its computing twice, and more than one is of no use', () => {
    expect(durationOf(figures, 1_000, 1_769 / 2)).toBeCloseTo(durationOf(figures, 1_000, 1_769) + 5);
    expect(durationOf(figures, 1_000, 10_240)).toBe(durationOf(figures, 1_000, 1_769));
  });
});

describe('the load', () => {
  const load = loadOf(figures, flowOf(figures, 1_000, DEFAULTS));

  it('is processor time, log and disk in proportion to the events', () => {
    expect(load.functionVcpu).toBeCloseTo(0.005);
    expect(load.serverVcpu).toBeCloseTo(0.004);
    expect(load.wal).toBeCloseTo(300_000);
    expect(load.growth).toBe(86.4e6 * 250);
  });

  it('writes the log of each batch in pieces of 4 kB', () => {
    expect(load.writes).toBe(2 * Math.ceil((500 * 300) / 4_096));
  });

  it('has the capacity to compute, and the capacity to hold the index of a day', () => {
    expect(load.acu.computing).toBe(0.5);
    expect(load.indexOfDay).toBe(86.4e6 * 50);
    // 4.32 GB in 68 % of 2 GiB each, in halves.
    expect(load.acu.cachingIndex).toBe(3);
  });

  it('freezes after 200 million batches', () => {
    expect(load.daysToFreeze).toBeCloseTo(200e6 / 2 / 86_400);
  });
});

it.each([
  [100_000, 3],
  [1_000_000, 3],
  [5_000_000, 3],
])('the index of %i rows has as many levels as one that was made', (rows, levels) => {
  // EXPLAIN (BUFFERS) of a look-up in PostgreSQL 18 reads as many pages; 53 bytes an entry.
  const made = { ...figures, stored: { ...figures.stored, index: 53 } };

  expect(historyOf(made, rows).levels).toBe(levels);
});

describe('the cost', () => {
  const flow = flowOf(figures, 1_000, DEFAULTS);
  const plan: Plan = { flow, load: loadOf(figures, flow), memoryMb: 1_769, acu: 2, ioOptimized: false };

  it('is that of calls, invocations, capacity, I/O and storage', () => {
    const cost = costOf(plan);

    // 2,628 million events a month; three calls for ten of them.
    expect(cost.sqs).toBeCloseTo(2_628 * 0.3 * 0.4);
    expect(cost.lambda).toBeCloseTo(2 * 2_628_000 * (0.2e-6 + 0.016 * (1_769 / 1_024) * 0.0000133));
    expect(cost.capacity).toBeCloseTo(2 * 730 * 0.12);
    expect(cost.io).toBeCloseTo(74 * 2.628 * 0.2);
    expect(cost.storage).toBeCloseTo(2_628 * 0.25 * 0.1);
    expect(cost.million * 2_628).toBeCloseTo(cost.together);
  });

  it('has no I/O where it is I/O-Optimized, and dearer capacity and storage', () => {
    const cost = costOf({ ...plan, ioOptimized: true });

    expect(cost.io).toBe(0);
    expect(cost.capacity / costOf(plan).capacity).toBeCloseTo(1.3);
    expect(cost.storage / costOf(plan).storage).toBeCloseTo(2.25);
  });

  it('receives an event a call where they are rare', () => {
    const rare = flowOf(figures, 10, DEFAULTS);

    expect(costOf({ ...plan, flow: rare }).sqs).toBeCloseTo(26.28 * 1.2 * 0.4);
  });

  it('of an invocation is billed in whole milliseconds', () => {
    expect(invocationCost(0.1, 1_024)).toBeCloseTo(invocationCost(1, 1_024));
  });
});
