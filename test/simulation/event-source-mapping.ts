import type { MappingState } from '../../lambda/breaker/circuit.ts';
import { AwsFailure } from '../../lambda/errors.ts';
import { SECOND, type VirtualClock } from './clock.ts';
import type { SimulatedQueue } from './queue.ts';

/** Lambda's poller for a queue. */
export interface SimulatedMapping {
  /** What GetEventSourceMapping says. */
  state(): MappingState;
  /** @throws AwsFailure while an earlier change is still going on, as Lambda does */
  setEnabled(enabled: boolean): void;
  /** No batch is being collected or processed. */
  isIdle(): boolean;
}

/** Processes a batch. @returns the messages that failed; undefined where the invocation as a whole did */
export type Invoke = (messages: readonly number[]) => Promise<ReadonlySet<number> | undefined>;

export interface MappingSettings {
  readonly batchSize: number;
  /** Milliseconds. */
  readonly batchingWindow: number;
  readonly maxConcurrency: number;
}

/**
 * How long after a change was asked for things are as before: batches are still taken, or not yet. AWS says no more than that
 * it takes time; what one sees is some seconds to some tens of seconds. Milliseconds.
 */
const CHANGE_TIME = 60 * SECOND;
/** Messages a second that come into one batch: a hundred calls of ten. AWS names a figure for provisioned pollers only, ten calls. */
const COLLECTED = 1_000;

interface Batch {
  readonly messages: number[];
  readonly since: number;
}

/**
 * An event source mapping as Lambda has it: batches are collected until they are full or their window is over, several at a
 * time where there is enough to collect; an invocation that fails takes one off the concurrency and one that goes well puts
 * it back. Two things are left out: that it takes minutes to reach its concurrency, and that a payload ends at 6 MB.
 */
export function createMapping(
  clock: VirtualClock,
  queue: SimulatedQueue,
  { batchSize, batchingWindow, maxConcurrency }: MappingSettings,
  invoke: Invoke,
): SimulatedMapping {
  let enabled = true;
  let changed = Number.NEGATIVE_INFINITY;
  let concurrency = maxConcurrency;
  let running = 0;
  let collecting: Batch[] = [];
  const isChanging = () => clock.now() < changed + CHANGE_TIME;
  const isTaking = () => enabled !== isChanging();

  async function run({ messages }: Batch): Promise<void> {
    running++;
    const failed = await invoke(messages);
    running--;
    if (failed !== undefined) queue.delete(messages.filter((message) => !failed.has(message)));
    concurrency =
      failed === undefined ? Math.max(1, concurrency - 1) : Math.min(maxConcurrency, concurrency + 1);
  }

  /** As many as have something to collect for a window. */
  function beginBatches(): void {
    const wanted = Math.ceil(queue.visible(clock.now()) / ((COLLECTED * batchingWindow) / SECOND));
    const places = concurrency - running - collecting.length;
    const begun = Math.min(places, wanted - collecting.length);
    for (let i = 0; i < begun; i++) collecting.push({ messages: [], since: clock.now() });
  }

  function collect(): void {
    for (const { messages } of collecting) {
      messages.push(...queue.receive(Math.min(COLLECTED, batchSize - messages.length), clock.now()));
    }
    const isReady = ({ messages, since }: Batch) =>
      messages.length === batchSize || clock.now() - since >= batchingWindow;
    const ready = collecting.filter(isReady);
    collecting = collecting.filter((batch) => !isReady(batch));
    for (const batch of ready) if (batch.messages.length > 0) clock.start(() => run(batch));
  }

  clock.start(async () => {
    for (;;) {
      if (isTaking()) beginBatches();
      collect();
      await clock.until(clock.now() + SECOND);
    }
  });

  return {
    state: () => (!enabled ? 'disabled' : isChanging() ? 'changing' : 'enabled'),
    setEnabled(wanted) {
      if (isChanging()) throw new AwsFailure('the mapping is being changed', 'ResourceInUseException');
      if (wanted === enabled) return;
      enabled = wanted;
      changed = clock.now();
    },
    isIdle: () => running + collecting.length === 0,
  };
}
