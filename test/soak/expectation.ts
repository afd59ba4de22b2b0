import type { Message } from '@aws-sdk/client-sqs';
import { toRecord } from '../../bin/queue/record.ts';
import { EVENT_TIME_ATTRIBUTE } from '../../lambda/events/identity.ts';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { parseBatch } from '../../lambda/events/parse.ts';
import { parseKeyset } from '../../lambda/masking/keyset.ts';
import { storableValue, tableMasker } from '../../lambda/masking/table-masker.ts';
import { KEYSET_JSON, record } from '../support/records.ts';
import type { Row } from './collect.ts';
import type { Reason } from './messages.ts';
import type { SentMessage } from './sender.ts';

/** A row as it has to be. The date of an event without a time of its own is the queue's affair. */
export type ExpectedRow = Omit<Row, 'date'> & { readonly date: string | undefined };

/** What parser and masker, which know no faults, make of messages. @param messages good ones, no event twice */
export function* expectedRows(messages: readonly SentMessage[]): Generator<ExpectedRow, void, void> {
  const { mask } = tableMasker(parseKeyset(KEYSET_JSON), 'recoverable', loginEvents);
  const sent = new Map(messages.map((message) => [message.messageId, message]));
  const records = messages.map(({ body, ...changes }) => record(body, changes));
  for (const chunk of parseBatch(loginEvents, records)) {
    const { events, columns } = mask(chunk);
    for (const [i, { messageId, eventId, date }] of events.entries()) {
      const { user, attributes } = sent.get(messageId)!;
      yield {
        user,
        date: attributes[EVENT_TIME_ATTRIBUTE] === undefined ? undefined : date,
        content: JSON.stringify([...columns.map((column) => storableValue(column, i)), eventId]),
      };
    }
  }
}

/** Why the rules of today refuse a dead letter; undefined where they do not. */
export function reasonOf(deadLetter: Message): Reason | undefined {
  const [chunk] = parseBatch(loginEvents, [toRecord(deadLetter)]);
  return chunk!.rejected[0];
}
