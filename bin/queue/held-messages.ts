import type { Message } from '@aws-sdk/client-sqs';
import type { Queue } from './queue.ts';
import { receiveUpTo } from './receive.ts';

/** Messages of a queue that we look at, and that nobody else gets meanwhile. */
export interface HeldMessages {
  /** Up to `max` that were not handed out before; none where the queue gives no more, or at the signal. */
  next(max: number): Promise<Message[]>;
  /** @returns those that SQS did not delete; they stay held */
  delete(messages: readonly Message[]): Promise<Message[]>;
  /** Does not hand these out, should they come. */
  ignore(messageIds: readonly string[]): void;
  /** Makes all visible again that were not deleted. */
  giveBack(progress: Steps): Promise<void>;
}

/** Told how far it is. */
export interface Steps {
  begin(label: string, total: number): void;
  advance(by: number): void;
  end(): void;
}

/** Seconds that SQS hides what is held; a killed process's messages are back after that. Renewed at half time. */
export const HOLD = 600;
/** Empty answers after which we believe that nothing comes although the queue, which only estimates, counts some. */
const EMPTY_ANSWERS = 3;
/** Messages that are given back between two steps of the progress. */
const GROUP = 1_000;

export function holdMessages(queue: Queue, signal: AbortSignal): HeldMessages {
  /** messageId → its latest receipt handle. Bodies are not kept: there may be a hundred thousand. */
  const held = new Map<string, string>();
  const known = new Set<string>();
  let renewedAt = performance.now();

  const receipts = () => [...held.values()].map((ReceiptHandle) => ({ ReceiptHandle }));

  async function renew() {
    if (performance.now() - renewedAt < (HOLD / 2) * 1000) return;
    await queue.hide(receipts(), HOLD);
    renewedAt = performance.now();
  }

  /** SQS may hand a message out twice. */
  function takeNew(messages: readonly Message[]): Message[] {
    return messages.filter(({ MessageId, ReceiptHandle }) => {
      held.set(MessageId!, ReceiptHandle!);
      const isNew = !known.has(MessageId!);
      known.add(MessageId!);
      return isNew;
    });
  }

  return {
    async next(max) {
      await renew();
      for (let empty = 0; empty < EMPTY_ANSWERS && !signal.aborted; ) {
        const messages = await receiveUpTo(queue, max, signal, HOLD);
        const taken = takeNew(messages);
        if (taken.length > 0) return taken;
        if (messages.length > 0) continue;
        if ((await queue.state()).visible === 0) break;
        empty++;
      }
      return [];
    },
    async delete(messages) {
      const failed = await queue.delete(messages);
      for (const message of messages) if (!failed.includes(message)) held.delete(message.MessageId!);
      return failed;
    },
    ignore(messageIds) {
      for (const messageId of messageIds) known.add(messageId);
    },
    async giveBack(progress) {
      const all = receipts();
      if (all.length === 0) return;
      progress.begin('given back', all.length);
      try {
        for (let i = 0; i < all.length; i += GROUP) {
          const group = all.slice(i, i + GROUP);
          const failed = await queue.hide(group, 0);
          progress.advance(group.length - failed.length);
        }
        held.clear();
      } finally {
        progress.end();
      }
    },
  };
}
