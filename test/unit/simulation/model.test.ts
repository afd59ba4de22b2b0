import { describe, expect, it } from 'vitest';
import { createClock, DAY, MINUTE, SECOND } from '../../simulation/clock.ts';
import { createMapping, type Invoke } from '../../simulation/event-source-mapping.ts';
import { createQueue } from '../../simulation/queue.ts';
import { createReports } from '../../simulation/reports.ts';
import { createRandom } from '../../soak/random.ts';

const START = Date.UTC(2026, 0, 1);
const SETTINGS = { visibilityTimeout: 6 * MINUTE, maxReceiveCount: 5, retention: 10 * DAY };

function queueOf(count: number, interval = 0) {
  return createQueue({ start: START, interval, count }, SETTINGS, createRandom(1));
}

describe('the simulated queue', () => {
  it('hands out each message once, and not in a strict order', () => {
    const queue = queueOf(1_000);

    const received = queue.receive(2_000, START);

    const numbers = Array.from({ length: 1_000 }, (_, message) => message);
    expect(received.toSorted((a, b) => a - b)).toEqual(numbers);
    expect(received).not.toEqual(numbers);
    expect(queue.receive(1, START)).toEqual([]);
  });

  it('has a message when it is sent, and not before', () => {
    const queue = queueOf(3, MINUTE);

    expect([START, START + 2 * MINUTE - 1, START + 2 * MINUTE].map((time) => queue.visible(time))).toEqual([
      1, 2, 3,
    ]);
  });

  it('hides what it hands out for the visibility timeout, and moves what is not deleted after five receives', () => {
    const queue = queueOf(1);

    const received = Array.from({ length: 6 }, (_, i) => {
      const due = START + i * 6 * MINUTE;
      return [queue.receive(1, due - 1).length, queue.receive(1, due).length];
    });

    expect(received).toEqual([
      [0, 1],
      [0, 1],
      [0, 1],
      [0, 1],
      [0, 1],
      [0, 0],
    ]);
    expect(queue.figures()).toMatchObject({ deadLettered: 1, mostReceives: 5 });
    expect([queue.deadLetters(), queue.isDone()]).toEqual([[0], true]);
  });

  it('hands out nothing that was deleted', () => {
    const queue = queueOf(2);
    queue.delete(queue.receive(1, START));

    expect(queue.receive(2, START + 6 * MINUTE)).toHaveLength(1);
    expect(queue.figures()).toMatchObject({ deleted: 1, mostInFlight: 1 });
  });

  it('loses what is older than the retention', () => {
    const queue = queueOf(1);

    expect(queue.receive(1, START + 10 * DAY)).toEqual([]);
    expect(queue.figures()).toMatchObject({ expired: 1 });
  });

  it('hands out nothing while 120,000 messages are in flight', () => {
    const queue = queueOf(130_000);

    const received = queue.receive(130_000, START);
    queue.delete(received.slice(0, 7));

    expect([received.length, queue.receive(130_000, START).length]).toEqual([120_000, 7]);
  });
});

/** What a mapping does with messages that are all there at the start, in batches of ten. */
async function batchesOf(count: number, invoke: Invoke, time: number, disabledAfter = time) {
  const clock = createClock({ start: START });
  const queue = queueOf(count);
  const batches: { readonly at: number; readonly size: number }[] = [];
  const settings = { batchSize: 10, batchingWindow: 5 * SECOND, maxConcurrency: 2 };
  const mapping = createMapping(clock, queue, settings, (messages) => {
    batches.push({ at: (clock.now() - START) / SECOND, size: messages.length });
    return invoke(messages);
  });
  clock.start(async () => {
    await clock.until(START + disabledAfter);
    mapping.setEnabled(false);
  });
  await clock.run(() => clock.now() > START + time);
  return { batches, queue };
}

describe('the simulated event source mapping', () => {
  const succeed: Invoke = async () => new Set();
  const fail: Invoke = async () => undefined;

  it('passes on full batches at once and others after the window, and deletes what did not fail', async () => {
    const { batches, queue } = await batchesOf(13, async (messages) => new Set(messages.slice(1)), MINUTE);

    expect(batches).toEqual([
      { at: 0, size: 10 },
      { at: 6, size: 3 },
    ]);
    expect(queue.figures()).toMatchObject({ deleted: 2, mostInFlight: 12 });
  });

  it('deletes nothing of an invocation that failed, and runs fewer at a time', async () => {
    const { batches, queue } = await batchesOf(12_000, fail, 3 * SECOND);

    expect(queue.figures()).toMatchObject({ deleted: 0 });
    expect(batches.map(({ at }) => at)).toEqual([0, 0, 1, 2, 3]);
  });

  it('goes on taking batches for a minute after it was disabled', async () => {
    const { batches } = await batchesOf(100_000, succeed, 3 * MINUTE, MINUTE);

    expect(batches.at(-1)?.at).toBe(119);
  });
});

it('a simulated report is seen two minutes later, and minutes without reports are not', async () => {
  const clock = createClock({ start: START });
  const reports = createReports(clock);
  const seen: number[][] = [];
  clock.start(async () => {
    for (const blocked of [1, 0, 0, 1]) reports.publish(blocked);
    await clock.until(START + 2 * MINUTE);
    reports.publish(1);
    for (const minute of [2, 3, 4]) {
      await clock.until(START + minute * MINUTE);
      seen.push(reports.averages(START, clock.now()));
    }
  });

  await clock.run(() => seen.length === 3);

  expect(seen).toEqual([[0.5], [0.5], [1, 0.5]]);
});

it('the simulated clock jumps where nothing is done, and goes as fast as it should where something is', async () => {
  const clock = createClock({ start: START, speed: 100 });
  const events: string[] = [];
  clock.start(async () => {
    await clock.until(START + DAY);
    await clock.during(() => new Promise((resolve) => setTimeout(resolve, 50)));
    events.push('worked');
  });
  clock.start(async () => {
    await clock.until(START + DAY + 2 * SECOND);
    events.push('meanwhile');
    await clock.until(START + DAY + MINUTE);
    events.push('later');
  });

  await clock.run(() => events.length === 3);

  expect(events).toEqual(['meanwhile', 'worked', 'later']);
  expect(clock.now()).toBe(START + DAY + MINUTE);
});
