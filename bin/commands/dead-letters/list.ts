import type { QueueOptions } from '../../local/find-queue.ts';
import type { QueueWithDeadLetters } from '../../queue/dead-letter-queue.ts';
import { queueName } from '../../queue/name.ts';
import { toRecord } from '../../queue/record.ts';
import { endLook, failureCode, type Look, lookThrough, PORTION, sentAt, withDeadLetters } from './look.ts';
import { earlier, type Reason, type ReasonCount, reasonOf, Tally } from './reason.ts';
import { ageSeconds, renderAge, renderReason, renderReasons, renderTable, renderUnseen } from './render.ts';

export interface ListOptions extends QueueOptions {
  /** How many messages to name. */
  readonly limit: number;
  readonly json: boolean;
}

interface DeadLetter extends Reason {
  readonly messageId: string;
  readonly sentAt: number | undefined;
  /** As SQS counts them, ours included. */
  readonly receives: number;
}

interface Listing extends Look {
  readonly reasons: readonly ReasonCount[];
  /** The oldest first. */
  readonly letters: readonly DeadLetter[];
}

/** `vizard dead-letters list`: how many there are, how old, and why. Changes nothing. */
export async function list(options: ListOptions): Promise<number> {
  return withDeadLetters(options, async (queues) => {
    const listing = await readListing(queues);
    const now = Date.now();
    process.stdout.write(
      options.json
        ? `${JSON.stringify(toJson(listing, options.limit, now))}\n`
        : render(listing, queues, options.limit, now),
    );
    return endLook(listing);
  });
}

async function readListing(queues: QueueWithDeadLetters): Promise<Listing> {
  const queue = queueName(queues.source.queueUrl);
  const tally = new Tally();
  const letters: DeadLetter[] = [];
  const look = await lookThrough(queues, {
    label: 'looked at',
    size: () => PORTION,
    async visit(messages) {
      for (const record of messages.map(toRecord)) {
        const reason = reasonOf(record, queue);
        const time = sentAt(record);
        tally.add(reason, time);
        const receives = Number(record.attributes.ApproximateReceiveCount);
        letters.push({ messageId: record.messageId, sentAt: time, receives, ...reason });
      }
      return messages.length;
    },
  });
  letters.sort((a, b) => (a.sentAt ?? 0) - (b.sentAt ?? 0));
  return { ...look, reasons: tally.reasons(), letters };
}

function toJson(listing: Listing, limit: number, now: number) {
  const { reasons, letters, unseen, elsewhere } = listing;
  return {
    count: letters.length,
    unseen,
    elsewhere,
    failed: failureCode(listing),
    oldestSeconds: ageSeconds(oldestOf(reasons), now),
    reasons: reasons.map(({ field, code, count, oldest }) => ({
      field,
      code,
      count,
      oldestSeconds: ageSeconds(oldest, now),
    })),
    messages: letters.slice(0, limit).map(({ messageId, sentAt, receives, field, code }) => ({
      messageId,
      sentAt: sentAt === undefined ? null : new Date(sentAt).toISOString(),
      ageSeconds: ageSeconds(sentAt, now),
      receives,
      field,
      code,
    })),
  };
}

function render(listing: Listing, { source }: QueueWithDeadLetters, limit: number, now: number): string {
  const { reasons, letters } = listing;
  const count = letters.length;
  const oldest = count === 0 ? '' : `, the oldest sent ${renderAge(oldestOf(reasons), now)} ago`;
  const shown = letters.slice(0, limit);
  const rows = shown.map(({ messageId, sentAt, receives, ...reason }) => [
    messageId,
    sentAt === undefined ? 'unknown' : new Date(sentAt).toISOString().slice(0, 19).replace('T', ' '),
    renderAge(sentAt, now),
    receives,
    renderReason(reason),
  ]);
  return [
    `${count} dead letters of ${source.queueUrl}${oldest}\n`,
    renderUnseen(listing),
    renderReasons(reasons, now),
    count === 0 ? '' : `\nthe oldest ${shown.length} of ${count}\n`,
    count === 0 ? '' : renderTable(['messageId', 'sent (UTC)', 'age', 'receives', 'reason'], rows),
  ].join('');
}

function oldestOf(reasons: readonly ReasonCount[]): number | undefined {
  return reasons.map(({ oldest }) => oldest).reduce(earlier, undefined);
}
