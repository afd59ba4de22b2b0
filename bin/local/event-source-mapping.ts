import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Message } from '@aws-sdk/client-sqs';
import type { Context, SQSBatchResponse, SQSEvent } from 'aws-lambda';
import type { Queue } from '../queue/queue.ts';
import { receiveUpTo } from '../queue/receive.ts';
import { toRecord } from '../queue/record.ts';

/**
 * An event source mapping in small: collects batches, invokes the function, deletes what it does not name as failed.
 *
 * Two things differ from AWS, for the sake of who waits for the result: failed messages are visible again at once and
 * not after the visibility timeout, so that rejected ones reach the dead-letter queue while one looks on; and when the
 * function throws, the batch is held and tried again, so that an outage does not use up the messages' receives.
 */
export interface EventSourceMapping {
  readonly queue: Queue;
  readonly handler: (
    event: SQSEvent,
    context: Pick<Context, 'getRemainingTimeInMillis'>,
  ) => Promise<SQSBatchResponse>;
  /** 1-10,000. */
  readonly batchSize: number;
  /** Receives after which a failing message is done with: SQS moves it, or it is left alone where it has nowhere to go. */
  readonly maxReceiveCount: number;
  /** Nobody else receives from the queue, so messages in flight are left over from a run that died: wait for them. */
  readonly exclusive: boolean;
  /** Goes on polling an empty queue, and through an outage of the database, until the signal. */
  readonly follow: boolean;
  /** Ends the polling; the batch in flight is finished first. */
  readonly signal: AbortSignal;
  /** Told the messages of each batch when it has been answered. */
  readonly onAnswer: (answer: Answer) => void;
  /** Told when a batch as a whole failed and how long it is held before the next try. */
  readonly onFailure: (error: unknown, waitSeconds: number) => void;
}

export interface Answer {
  /** Messages of the batch less those that come again because they failed before. */
  readonly received: number;
  /** Messages that failed for the last time. */
  readonly exhausted: readonly string[];
}

/** How long a stop waits for the batch in flight before it is given back, or for the queue. Milliseconds. */
const STOP_TIMEOUT = 3_000;
/** The timeout of the function in milliseconds, and for how long its messages are invisible in seconds. */
const FUNCTION_TIMEOUT = 20_000;
export const VISIBILITY_TIMEOUT = 60;
/** How often a batch is tried when nobody asked to follow, with waits of 1, 2 and 4 seconds between. */
const TRIES = 4;
const LONGEST_WAIT = 20;

/**
 * Runs the mapping until the queue is drained or the signal says stop. Messages that are received but not answered
 * go back to the queue.
 *
 * @throws whatever the handler throws for the last time
 */
export async function runEventSourceMapping(mapping: EventSourceMapping): Promise<void> {
  const { queue, signal } = mapping;
  const { maxReceiveCount } = await queue.state();
  const failedBefore = new Set<string>();
  const deadline = stopDeadline(signal);
  while (!signal.aborted) {
    const messages = await before(deadline, receiveUpTo(queue, mapping.batchSize, signal));
    if (messages === undefined) return;
    if (messages.length === 0) {
      if (!mapping.follow && !signal.aborted && (await isDrained(mapping))) return;
      continue;
    }
    const failed = await answer(mapping, messages, deadline);
    if (failed === undefined) return;
    const received = messages.filter(({ MessageId }) => !failedBefore.has(MessageId!)).length;
    await queue.delete(messages.filter(({ MessageId }) => !failed.has(MessageId!)));
    const again = messages.filter(({ MessageId }) => failed.has(MessageId!));
    const isLast = (message: Message) =>
      receiveCount(message) >= (maxReceiveCount ?? mapping.maxReceiveCount);
    // What has no dead-letter queue to go to stays invisible, so that it is not received again and again.
    await queue.hide(maxReceiveCount === undefined ? again.filter((message) => !isLast(message)) : again, 0);
    for (const message of messages) {
      if (failed.has(message.MessageId!) && !isLast(message)) failedBefore.add(message.MessageId!);
      else failedBefore.delete(message.MessageId!);
    }
    mapping.onAnswer({ received, exhausted: again.filter(isLast).map(({ MessageId }) => MessageId!) });
  }
}

/** @returns the ids of the messages that the function names as failed; undefined when a stop gave the batch back */
async function answer(
  mapping: EventSourceMapping,
  messages: readonly Message[],
  deadline: AbortSignal,
): Promise<Set<string> | undefined> {
  const { queue, signal } = mapping;
  const event: SQSEvent = { Records: messages.map(toRecord) };
  for (let attempt = 1; ; attempt++) {
    try {
      const response = await before(deadline, invoke(mapping, event));
      if (response !== undefined)
        return new Set(response.batchItemFailures.map(({ itemIdentifier }) => itemIdentifier));
    } catch (error) {
      if (!mapping.follow && attempt === TRIES) {
        await queue.hide(messages, 0);
        throw error;
      }
      const wait = Math.min(2 ** (attempt - 1), LONGEST_WAIT);
      if (!signal.aborted) mapping.onFailure(error, wait);
      await queue.hide(messages, VISIBILITY_TIMEOUT);
      await sleep(wait * 1000, undefined, { signal }).catch(() => {});
    }
    if (signal.aborted) {
      await queue.hide(messages, 0);
      return undefined;
    }
  }
}

function invoke({ handler }: EventSourceMapping, event: SQSEvent): Promise<SQSBatchResponse> {
  const end = Date.now() + FUNCTION_TIMEOUT;
  return handler(event, { getRemainingTimeInMillis: () => end - Date.now() });
}

/** Some time after the signal; the batch in flight is then given back, whatever becomes of it. */
function stopDeadline(signal: AbortSignal): AbortSignal {
  const deadline = new AbortController();
  const start = () => setTimeout(() => deadline.abort(), STOP_TIMEOUT).unref();
  if (signal.aborted) start();
  else signal.addEventListener('abort', start, { once: true });
  return deadline.signal;
}

/** What the work comes to; undefined where the deadline comes first. */
async function before<T>(deadline: AbortSignal, work: Promise<T>): Promise<T | undefined> {
  const done = new AbortController();
  const late = once(deadline, 'abort', { signal: done.signal }).then(
    () => undefined,
    () => undefined,
  );
  try {
    return await Promise.race([work, deadline.aborted ? undefined : late]);
  } finally {
    // A race that the deadline never ends would keep every batch in memory.
    done.abort();
  }
}

async function isDrained({ queue, exclusive }: EventSourceMapping): Promise<boolean> {
  const { visible, delayed, inFlight } = await queue.state();
  return visible + delayed + (exclusive ? inFlight : 0) === 0;
}

function receiveCount(message: Message): number {
  return Number(message.Attributes?.ApproximateReceiveCount ?? 1);
}
