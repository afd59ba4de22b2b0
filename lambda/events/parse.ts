import type { SQSRecord } from 'aws-lambda';
import { type Column, isMasked, type TableDeclaration } from './declaration.ts';
import { type FieldValue, parseField } from './fields.ts';
import {
  EVENT_ID_FIELD,
  eventId,
  MILLISECONDS_A_DAY,
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
  const days = new Map<number, Day>();
  for (let start = 0; start < records.length; start += chunkSize) {
    yield parseChunk(declaration, records.slice(start, start + chunkSize), days);
  }
}

/** What a batch has seen of one UTC day. */
interface Day {
  readonly date: string;
  /** eventId → the message that brought it first. */
  readonly messages: Map<string, string>;
}

function parseChunk(
  { columns }: TableDeclaration,
  records: readonly SQSRecord[],
  days: Map<number, Day>,
): ParsedChunk {
  const events: EventIdentity[] = [];
  const values = columns.map((): FieldValue[] => []);
  const rejected: Rejection[] = [];
  const repeats: Repeat[] = [];
  const row: FieldValue[] = new Array(columns.length);
  for (const record of records) {
    const { messageId } = record;
    // Without an id a failure could not be named in the response, and what is not named is acknowledged.
    if (!messageId) throw new TypeError('record without messageId');
    const parsed = parseRecord(columns, record, row);
    if ('code' in parsed) {
      rejected.push(parsed);
      continue;
    }
    const { date, messages } = dayOf(parsed.sentTime, days);
    const first = messages.get(parsed.eventId);
    if (first !== undefined) {
      repeats.push({ messageId, of: first });
      continue;
    }
    messages.set(parsed.eventId, messageId);
    events.push({ messageId, eventId: parsed.eventId, date, redelivered: wasReceivedBefore(record) });
    for (let i = 0; i < row.length; i++) values[i]!.push(row[i]!);
  }
  return { events, columns: columns.map((column, i) => parsedColumn(column, values[i]!)), rejected, repeats };
}

function dayOf(time: number, days: Map<number, Day>): Day {
  const number = Math.floor(time / MILLISECONDS_A_DAY);
  let day = days.get(number);
  if (day === undefined) {
    day = { date: utcDate(time), messages: new Map() };
    days.set(number, day);
  }
  return day;
}

function parsedColumn(column: Column, values: FieldValue[]): ParsedColumn {
  return isMasked(column)
    ? { kind: 'canonical', values: values as (Uint8Array | null)[] }
    : { kind: 'plain', values: values as (string | number | null)[] };
}

interface ParsedRecord {
  readonly eventId: string;
  /** Milliseconds since 1970 UTC. */
  readonly sentTime: number;
}

/**
 * One record: its identity, or the first rule that it breaks.
 *
 * @param row takes the field values, one for each column
 */
function parseRecord(
  columns: readonly Column[],
  record: SQSRecord,
  row: FieldValue[],
): ParsedRecord | Rejection {
  let column: Column | undefined;
  let field = 'body';
  try {
    const body = parseBody(record.body);
    for (let i = 0; i < columns.length; i++) {
      column = columns[i]!;
      row[i] = parseField(column, valueAt(body, column.source));
    }
    column = undefined;
    field = SENT_TIME_FIELD;
    const time = sentTime(record);
    field = EVENT_ID_FIELD;
    return { eventId: eventId(record), sentTime: time };
  } catch (error) {
    if (!(error instanceof FieldError)) throw error;
    return {
      messageId: record.messageId,
      field: column === undefined ? field : fieldPath(column),
      code: error.code,
    };
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
