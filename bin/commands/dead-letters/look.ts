import type { Message } from '@aws-sdk/client-sqs';
import type { SQSRecord } from 'aws-lambda';
import { oldestSentTime } from '../../../lambda/events/identity.ts';
import { findQueue, type QueueOptions } from '../../local/find-queue.ts';
import { createProgress } from '../../local/progress.ts';
import { onStopRequest } from '../../local/stop.ts';
import { QueueFailure } from '../../queue/client.ts';
import { findDeadLetterQueue, type QueueWithDeadLetters } from '../../queue/dead-letter-queue.ts';
import { type HeldMessages, holdMessages } from '../../queue/held-messages.ts';
import { openQueue } from '../../queue/queue.ts';

/** Most bodies in memory at a time; one may have a megabyte. */
export const PORTION = 100;

/** Finds the queue that the options name and its dead-letter queue, and stops again what was started for it. */
export async function withDeadLetters<T>(
  options: QueueOptions,
  work: (queues: QueueWithDeadLetters) => Promise<T>,
): Promise<T> {
  const target = await findQueue(options);
  try {
    return await work(await findDeadLetterQueue(target));
  } finally {
    await target.stop?.();
  }
}

export interface Visit {
  /** What is done, for the progress. */
  readonly label: string;
  /** How much there is to do, for the progress, where so many are visible. @default as many */
  readonly total?: (visible: number) => number;
  /** How many to hand out next; 0 ends the look. */
  readonly size: () => number;
  /** @returns how much of the total was done */
  readonly visit: (messages: readonly Message[], held: HeldMessages) => Promise<number>;
}

export interface Look {
  /** How many were left unseen: for a limit, for a stop, or because SQS lets nobody hold more. Approximate on AWS. */
  readonly unseen: number;
  /** How many somebody else held when we began, or a command that was killed. Approximate on AWS. */
  readonly elsewhere: number;
  /** 128 + the signal's number where a stop cut the look short, else 0. */
  readonly exitCode: number;
  /** What cut the look short; undefined where nothing did. */
  readonly failure: Error | undefined;
  /** What kept us from giving back what we held, so that it is hidden for ten minutes; undefined where nothing did. */
  readonly notGivenBack: Error | undefined;
}

/**
 * Hands out the messages of a dead-letter queue, each once, and gives back what the visit did not delete. What fails on
 * the way is in the result, because what was done before has to be told.
 */
export async function lookThrough(
  { deadLetters }: QueueWithDeadLetters,
  { label, total = (visible) => visible, size, visit }: Visit,
): Promise<Look> {
  const queue = openQueue(deadLetters);
  const progress = createProgress();
  const stop = onStopRequest({ keys: true });
  const held = holdMessages(queue, stop.signal);
  let seen = 0;

  async function handOut() {
    for (let max = size(); max > 0; max = size()) {
      const messages = await held.next(max);
      if (messages.length === 0) break;
      seen += messages.length;
      progress.advance(await visit(messages, held));
    }
  }

  try {
    const { visible, inFlight: elsewhere } = await queue.state();
    progress.begin(label, total(visible));
    const failure = await failureOf(handOut());
    progress.end();
    const notGivenBack = await failureOf(held.giveBack(progress));
    // Counted by us: what SQS counts may be a minute old.
    const unseen = Math.max(0, visible - seen);
    return { unseen, elsewhere, exitCode: stop.exitCode(), failure, notGivenBack };
  } finally {
    queue.close();
    stop.release();
  }
}

async function failureOf(work: Promise<void>): Promise<Error | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    return error as Error;
  }
}

/** The exit code of a look that has been reported. @throws what failed, which is told after the report */
export function endLook(look: Look): number {
  const error = errorOf(look);
  if (error !== undefined) throw error;
  return look.exitCode;
}

/** What the report calls the failure; undefined where there is none. */
export function failureCode(look: Look): string | undefined {
  const error = errorOf(look);
  if (error === undefined) return undefined;
  return error instanceof QueueFailure ? error.code : 'unexpected';
}

function errorOf({ failure, notGivenBack }: Look): Error | undefined {
  return failure ?? notGivenBack;
}

/** When SQS took the message, in milliseconds since 1970. A dead letter keeps the time of its first sending. */
export function sentAt(record: SQSRecord): number | undefined {
  return oldestSentTime([record], new Set());
}
