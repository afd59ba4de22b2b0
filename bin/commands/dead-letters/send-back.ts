import type { Message } from '@aws-sdk/client-sqs';
import { EVENT_ID_ATTRIBUTE, EVENT_TIME_ATTRIBUTE } from '../../../lambda/events/identity.ts';
import type { QueueWithDeadLetters } from '../../queue/dead-letter-queue.ts';
import type { HeldMessages } from '../../queue/held-messages.ts';
import { queueName } from '../../queue/name.ts';
import { type OutgoingMessage, refusalOf } from '../../queue/outgoing-message.ts';
import { openQueue, type Queue, type SendResult } from '../../queue/queue.ts';
import { hasUnreadableAttribute, toRecord } from '../../queue/record.ts';
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

interface Outcome {
  /** How many are in their queue again, and deleted from the dead-letter queue. */
  redriven: number;
  /** How many may be in both queues, as the same events: sent, but not deleted as far as we know. */
  inBoth: number;
  /** What was chosen and cannot be sent as it would have to be; it is left as well. */
  readonly refused: { readonly messageId: string; readonly code: string }[];
}

/** What became of the dead letters that were looked at. */
export interface SentBack extends Look, Readonly<Outcome> {
  readonly dryRun: boolean;
  /** What was not chosen. */
  readonly left: readonly ReasonCount[];
}

/** The SDK does not give us all of the message. */
const UNREADABLE = 'unreadable_attribute';

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
  const outcome: Outcome = { redriven: 0, inBoth: 0, refused: [] };

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
      total: (visible) => (dryRun ? visible : Math.min(visible, limit)),
      size: () => Math.min(PORTION, limit - outcome.redriven - outcome.inBoth),
      async visit(messages, held) {
        const chosen = messages.filter(choose);
        const readable = refuse(chosen, (message) => hasUnreadableAttribute(message) && UNREADABLE, outcome);
        if (!dryRun) return move(readable, source, held, outcome);
        const sendable = refuse(readable, (message) => refusalOf(asSameEvent(message)), outcome);
        outcome.redriven += sendable.length;
        return messages.length;
      },
    });
    return { ...look, ...outcome, dryRun, left: left.reasons() };
  } finally {
    source.close();
  }
}

/** @returns the messages that no code speaks against; the others are noted with theirs */
function refuse(
  messages: readonly Message[],
  codeOf: (message: Message, index: number) => string | false | undefined,
  { refused }: Outcome,
): Message[] {
  return messages.filter((message, i) => {
    const code = codeOf(message, i);
    if (code) refused.push({ messageId: message.MessageId!, code });
    return !code;
  });
}

/** Sends the messages to the source, then deletes them. @returns how many were sent */
async function move(
  messages: readonly Message[],
  source: Queue,
  held: HeldMessages,
  outcome: Outcome,
): Promise<number> {
  // Whatever fails from here on, nobody knows of which it was done.
  outcome.inBoth += messages.length;
  const results = await source.send(messages.map(asSameEvent));
  const sent = refuse(messages, (_, i) => refusalIn(results[i]!), outcome);
  outcome.inBoth -= messages.length - sent.length;
  // What fails once more at once comes back under its new id; it would go round and round.
  held.ignore(results.flatMap((result) => ('messageId' in result ? [result.messageId] : [])));
  const deleted = sent.length - (await held.delete(sent)).length;
  outcome.inBoth -= deleted;
  outcome.redriven += deleted;
  return sent.length;
}

function refusalIn(result: SendResult): string | undefined {
  return 'refused' in result ? result.refused : undefined;
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
