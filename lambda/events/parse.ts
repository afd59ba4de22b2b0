import type { SQSRecord } from 'aws-lambda';
import { type Column, isMasked, type TableDeclaration } from './declaration.ts';
import { type FieldValue, parseField } from './fields.ts';
import {
  EVENT_ID_FIELD,
  eventId,
  SENT_TIME_FIELD,
  sentTime,
  utcDate,
  wasReceivedBefore,
} from './identity.ts';
import { FieldError, type Rejection } from './rejection.ts';

/** What makes an event one event, whatever its columns hold. Unique in the table: (date, eventId). */
export interface EventIdentity {
  readonly messageId: string;
  /** UUID in lower case. */
  readonly eventId: string;
  /** `YYYY-MM-DD`, UTC. */
  readonly date: string;
  /** SQS has handed the message out before, so the row may be in the table already. */
  readonly redelivered: boolean;
}

/** The values of one column for every accepted event of a chunk, in the order of `ParsedChunk.events`. */
export type ParsedColumn =
  | { readonly kind: 'plain'; readonly values: readonly (string | number | null)[] }
  /** Canonical bytes: personal data that only the masker takes. */
  | { readonly kind: 'canonical'; readonly values: readonly (Uint8Array | null)[] };

/** A message that carries the same event as an earlier one of the batch and shares its fate. */
export interface Repeat {
  readonly messageId: string;
  /** The message whose row stands for both. */
  readonly of: string;
}

export interface ParsedChunk {
  readonly events: readonly EventIdentity[];
  /** One for each column of the declaration, in its order. */
  readonly columns: readonly ParsedColumn[];
  readonly rejected: readonly Rejection[];
  readonly repeats: readonly Repeat[];
}

/**
 * Parses and validates a whole batch, a chunk at a time, so that a caller can pass rows on while later ones are
 * still text. Every record comes out once: as an event, as a rejection, or as a repeat of an event of this batch.
 *
 * @param chunkSize records a chunk
 */
export function* parseBatch(
  declaration: TableDeclaration,
  records: readonly SQSRecord[],
  chunkSize: number,
): Generator<ParsedChunk, void, void> {
  const firstMessages = new Map<string, string>();
  for (let start = 0; start < records.length; start += chunkSize) {
    yield parseChunk(declaration, records.slice(start, start + chunkSize), firstMessages);
  }
}

function parseChunk(
  { columns }: TableDeclaration,
  records: readonly SQSRecord[],
  firstMessages: Map<string, string>,
): ParsedChunk {
  const events: EventIdentity[] = [];
  const rows: FieldValue[][] = [];
  const rejected: Rejection[] = [];
  const repeats: Repeat[] = [];
  for (const record of records) {
    const outcome = parseRecord(columns, record);
    if ('code' in outcome) {
      rejected.push(outcome);
      continue;
    }
    const { identity, row } = outcome;
    const key = identity.date + identity.eventId;
    const first = firstMessages.get(key);
    if (first !== undefined) {
      repeats.push({ messageId: identity.messageId, of: first });
      continue;
    }
    firstMessages.set(key, identity.messageId);
    events.push(identity);
    rows.push(row);
  }
  return { events, columns: columns.map((column, i) => transpose(column, rows, i)), rejected, repeats };
}

function transpose(column: Column, rows: readonly FieldValue[][], i: number): ParsedColumn {
  const values = rows.map((row) => row[i]!);
  return isMasked(column)
    ? { kind: 'canonical', values: values as (Uint8Array | null)[] }
    : { kind: 'plain', values: values as (string | number | null)[] };
}

interface ParsedRecord {
  readonly identity: EventIdentity;
  readonly row: FieldValue[];
}

/** One record: its identity and field values, or the first rule that it breaks. */
function parseRecord(columns: readonly Column[], record: SQSRecord): ParsedRecord | Rejection {
  // Without an id a failure could not be named in the response, and what is not named is acknowledged.
  if (!record.messageId) throw new TypeError('record without messageId');
  let field = 'body';
  try {
    const body = parseBody(record.body);
    const row: FieldValue[] = [];
    for (const column of columns) {
      field = fieldPath(column);
      row.push(parseField(column, valueAt(body, column.source)));
    }
    field = SENT_TIME_FIELD;
    const date = utcDate(sentTime(record));
    field = EVENT_ID_FIELD;
    const identity: EventIdentity = {
      messageId: record.messageId,
      eventId: eventId(record),
      date,
      redelivered: wasReceivedBefore(record),
    };
    return { identity, row };
  } catch (error) {
    if (error instanceof FieldError) return { messageId: record.messageId, field, code: error.code };
    throw error;
  }
}

/** The field's name in rejections and logs: its path in the body. */
export function fieldPath(column: Column): string {
  return column.source.join('.');
}

/** @throws FieldError; never the parser's own error, whose message quotes the body */
function parseBody(body: string): object {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    throw new FieldError('json');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new FieldError('type');
  return value;
}

/** Follows own members only, so that `constructor` and `__proto__` are members like any other. */
function valueAt(body: object, path: readonly string[]): unknown {
  let value: unknown = body;
  for (const name of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}
