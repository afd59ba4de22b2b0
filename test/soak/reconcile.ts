import type { Message } from '@aws-sdk/client-sqs';
import type { Row } from './collect.ts';
import { expectedRows, reasonOf } from './expectation.ts';
import type { SentMessage } from './sender.ts';

/** What must not be, each with the ids of messages, or the users of rows, that it happened to. */
export interface Findings {
  /** Accepted by the queue, and neither a row, nor a dead letter, nor in the queue. */
  readonly lost: readonly string[];
  /** Events with more than one row. */
  readonly doubled: readonly string[];
  /** Rows and dead letters of what nobody sent. */
  readonly unknown: readonly string[];
  /** Bad ones that are stored, rows that are not what was sent, dead letters for another reason than the one to expect. */
  readonly wrong: readonly string[];
  /** Good ones that are dead letters because they were received too often. */
  readonly exhausted: readonly string[];
  /** Still in the queue when time was up. */
  readonly left: readonly string[];
}

export interface Outcome {
  readonly sent: readonly SentMessage[];
  readonly rows: readonly Row[];
  readonly deadLetters: readonly Message[];
  readonly left: readonly Message[];
}

/** Holds what was sent against what became of it. */
export function reconcile({ sent, rows, deadLetters, left }: Outcome): Findings {
  const events = Map.groupBy(sent, ({ user }) => user);
  const rowsOf = Map.groupBy(rows, ({ user }) => user);
  const letters = new Map(deadLetters.map((letter) => [letter.MessageId!, letter]));
  const leftIds = new Set(left.map(({ MessageId }) => MessageId!));
  const sentIds = new Set(sent.map(({ messageId }) => messageId));

  const settledBy = ({ messageId, user }: SentMessage) =>
    rowsOf.has(user) || letters.has(messageId) || leftIds.has(messageId);
  const lost = [...events.values()].filter((copies) => !copies.some(settledBy));
  const doubled = [...rowsOf.values()].filter((copies) => copies.length > 1);
  const { wrong, exhausted } = deadLetterFindings(sent, letters);
  return {
    lost: lost.map(([first]) => first!.messageId),
    doubled: doubled.map(([first]) => first!.user),
    unknown: [
      ...[...rowsOf.keys()].filter((user) => !events.has(user)),
      ...[...letters.keys()].filter((messageId) => !sentIds.has(messageId)),
    ],
    wrong: [
      ...wrongRows(
        [...events.values()].map(([first]) => first!),
        rowsOf,
      ),
      ...wrong,
    ],
    exhausted,
    left: [...leftIds],
  };
}

/** @returns users with rows that are not what parser and masker make of their message, or of a bad one */
function wrongRows(messages: readonly SentMessage[], rowsOf: ReadonlyMap<string, readonly Row[]>): string[] {
  const good = messages.filter(({ rejection }) => rejection === undefined);
  const bad = messages.filter(({ rejection }) => rejection !== undefined);
  const wrong = bad.map(({ user }) => user).filter((user) => rowsOf.has(user));
  for (const { user, content, date } of expectedRows(good)) {
    const isRight = (row: Row) => row.content === content && (date === undefined || row.date === date);
    if (!(rowsOf.get(user) ?? []).every(isRight)) wrong.push(user);
  }
  return wrong;
}

function deadLetterFindings(
  sent: readonly SentMessage[],
  letters: ReadonlyMap<string, Message>,
): { wrong: string[]; exhausted: string[] } {
  const wrong: string[] = [];
  const exhausted: string[] = [];
  for (const { messageId, rejection } of sent) {
    const letter = letters.get(messageId);
    if (letter === undefined) continue;
    const reason = reasonOf(letter);
    if (rejection?.field !== reason?.field || rejection?.code !== reason?.code) wrong.push(messageId);
    else if (rejection === undefined) exhausted.push(messageId);
  }
  return { wrong, exhausted };
}
