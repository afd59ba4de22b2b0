import type { Message } from '@aws-sdk/client-sqs';
import type { SQSRecord } from 'aws-lambda';
import { oldestSentTime } from '../../../lambda/events/identity.ts';
import { findQueue, type QueueOptions } from '../../local/find-queue.ts';
import { createProgress } from '../../local/progress.ts';
import { onStopRequest } from '../../local/stop.ts';
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
  /** How many to hand out next; 0 ends the look. */
  readonly size: () => number;
  readonly visit: (messages: readonly Message[], held: HeldMessages) => Promise<void>;
}

export interface Look {
  /** How many were left unseen: for a limit, for a stop, or because SQS lets nobody hold more. Approximate on AWS. */
  readonly unseen: number;
  /** How many somebody else held when we began, or a command that was killed. Approximate on AWS. */
  readonly elsewhere: number;
  /** 128 + the signal's number where a stop cut the look short, else 0. */
  readonly exitCode: number;
}

/** Hands out the messages of a dead-letter queue, each once, and gives back what the visit did not delete. */
export async function lookThrough(
  { deadLetters }: QueueWithDeadLetters,
  { label, size, visit }: Visit,
): Promise<Look> {
  const queue = openQueue(deadLetters);
  const progress = createProgress();
  const stop = onStopRequest({ keys: true });
  const held = holdMessages(queue, stop.signal);
  try {
    const { visible, inFlight: elsewhere } = await queue.state();
    progress.begin(label, visible);
    let unseen = visible;
    try {
      for (let max = size(); max > 0; max = size()) {
        const messages = await held.next(max);
        if (messages.length === 0) break;
        await visit(messages, held);
        progress.advance(messages.length);
      }
      unseen = (await queue.state()).visible;
    } finally {
      progress.end();
      await held.giveBack(progress);
    }
    return { unseen, elsewhere, exitCode: stop.exitCode() };
  } finally {
    queue.close();
    stop.release();
  }
}

/** When SQS took the message, in milliseconds since 1970. A dead letter keeps the time of its first sending. */
export function sentAt(record: SQSRecord): number | undefined {
  return oldestSentTime([record], new Set());
}
