import type { Message } from '@aws-sdk/client-sqs';
import { EVENT_ID_ATTRIBUTE, EVENT_TIME_ATTRIBUTE } from '../../../lambda/events/identity.ts';
import type { QueueWithDeadLetters } from '../../queue/dead-letter-queue.ts';
import { queueName } from '../../queue/name.ts';
import { type OutgoingMessage, refusalOf } from '../../queue/outgoing-message.ts';
import { openQueue, type SendResult } from '../../queue/queue.ts';
import { toRecord } from '../../queue/record.ts';
import { type Look, lookThrough, PORTION, sentAt } from './look.ts';
import { type ReasonCount, reasonOf, Tally } from './reason.ts';

/** Which dead letters to send back. */
export interface Choice {
  /** Codes of their reasons. */
  readonly codes: ReadonlySet<string>;
  /** How many at most. */
  readonly limit: number;
  /** Only counts what it would do. */
  readonly dryRun: boolean;
}

/** What became of the dead letters that were looked at. */
export interface SentBack extends Look {
  readonly dryRun: boolean;
  readonly redriven: number;
  /** What was not chosen. */
  readonly left: readonly ReasonCount[];
  /** What was chosen and the queue does not take as it would have to be sent; it is left as well. */
  readonly refused: readonly { readonly messageId: string; readonly code: string }[];
}

/**
 * Sends dead letters back to their queue, and deletes each from the dead-letter queue when SQS has confirmed that it is
 * in the other. Whoever is killed in between leaves it in both: as the same event, which is stored once.
 */
export async function sendBack(
  queues: QueueWithDeadLetters,
  { codes, limit, dryRun }: Choice,
): Promise<SentBack> {
  const source = openQueue(queues.source);
  const name = queueName(queues.source.queueUrl);
  const left = new Tally();
  const refused: { messageId: string; code: string }[] = [];
  let redriven = 0;

  /** @returns whether it is to be sent back */
  function choose(message: Message): boolean {
    const record = toRecord(message);
    const reason = reasonOf(record, name);
    const chosen = codes.has(reason.code);
    if (!chosen) left.add(reason, sentAt(record));
    return chosen;
  }

  try {
    const look = await lookThrough(queues, {
      label: dryRun ? 'looked at' : 'redriving',
      size: () => Math.min(PORTION, limit - redriven),
      async visit(messages, held) {
        const chosen = messages.filter(choose);
        const outgoing = chosen.map(asSameEvent);
        const results = dryRun ? outgoing.map(tryOut) : await source.send(outgoing);
        const sent: Message[] = [];
        results.forEach((result, i) => {
          if ('messageId' in result) sent.push(chosen[i]!);
          else refused.push({ messageId: chosen[i]!.MessageId!, code: result.refused });
        });
        redriven += sent.length;
        if (dryRun) return;
        // What fails once more at once comes back under its new id; it would go round and round.
        held.ignore(results.flatMap((result) => ('messageId' in result ? [result.messageId] : [])));
        await held.delete(sent);
      },
    });
    return { ...look, dryRun, redriven, left: left.reasons(), refused };
  } finally {
    source.close();
  }
}

/** As much of the answer as is known without sending. */
function tryOut(message: OutgoingMessage): SendResult {
  const refused = refusalOf(message);
  return refused === undefined ? { messageId: '' } : { refused };
}

/**
 * The message with its identity in attributes, since SQS gives it a new id and a new sent time. Attributes that it has
 * already are kept, even where they are what is wrong with it.
 */
function asSameEvent(message: Message): OutgoingMessage {
  const { Body = '', MessageId, MessageAttributes } = message;
  const time = sentAt(toRecord(message));
  return {
    body: Body,
    attributes: {
      [EVENT_ID_ATTRIBUTE]: { DataType: 'String', StringValue: MessageId },
      ...(time === undefined
        ? {}
        : { [EVENT_TIME_ATTRIBUTE]: { DataType: 'String', StringValue: String(time) } }),
      ...MessageAttributes,
    },
  };
}
