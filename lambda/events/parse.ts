import type { SQSRecord } from 'aws-lambda';
import { type Column, isMasked, type TableDeclaration } from './declaration.ts';
import { type FieldParser, type FieldValue, fieldParser } from './fields.ts';
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

/** The message's body as a whole, as rejections name it. */
const BODY_FIELD = 'body';

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

/** A message that carries the same event as an earlier one of the batch. */
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
 * @param chunkSize records of the first chunk; each further one has twice as many, up to `largestChunk`
 * @param largestChunk @default chunkSize
 */
export function* parseBatch(
  declaration: TableDeclaration,
  records: readonly SQSRecord[],
  chunkSize: number,
  largestChunk: number = chunkSize,
): Generator<ParsedChunk, void, void> {
  const fields = declaration.columns.map(fieldOf);
  const days = new Map<number, Day>();
  let size = chunkSize;
  for (let start = 0; start < records.length; ) {
    const end = start + size;
    yield parseChunk(fields, records.slice(start, end), days);
    start = end;
    size = Math.min(size * 2, largestChunk);
  }
}

/** One field of the event, ready to be read from a body. */
interface Field {
  /** Its path in the body, as rejections name it. */
  readonly path: string;
  readonly source: readonly string[];
  readonly parse: FieldParser;
  readonly kind: ParsedColumn['kind'];
}

function fieldOf(column: Column): Field {
  const { source } = column;
  const kind = isMasked(column) ? 'canonical' : 'plain';
  return { path: fieldPath(column), source, parse: fieldParser(column), kind };
}

/** What a batch has seen of one UTC day. */
interface Day {
  readonly date: string;
  /** eventId → the message that brought it first. */
  readonly messages: Map<string, string>;
}

function parseChunk(
  fields: readonly Field[],
  records: readonly SQSRecord[],
  days: Map<number, Day>,
): ParsedChunk {
  const events: EventIdentity[] = [];
  const values = fields.map((): FieldValue[] => []);
  const rejected: Rejection[] = [];
  const repeats: Repeat[] = [];
  const row: FieldValue[] = new Array(fields.length);
  for (const record of records) {
    const { messageId } = record;
    // Without an id a failure could not be named in the response, and what is not named is acknowledged.
    if (!messageId) throw new TypeError('record without messageId');
    const parsed = parseRecord(fields, record, row);
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
  // A field's parser gives what its kind says, for every value.
  const columns = fields.map(({ kind }, i) => ({ kind, values: values[i]! }) as ParsedColumn);
  return { events, columns, rejected, repeats };
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

interface ParsedRecord {
  readonly eventId: string;
  /** Milliseconds since 1970 UTC. */
  readonly sentTime: number;
}

/**
 * One record: its identity, or the first rule that it breaks.
 *
 * @param row takes the field values
 */
function parseRecord(
  fields: readonly Field[],
  record: SQSRecord,
  row: FieldValue[],
): ParsedRecord | Rejection {
  let name = BODY_FIELD;
  try {
    const body = parseBody(record.body);
    for (let i = 0; i < fields.length; i++) {
      const { path, source, parse } = fields[i]!;
      name = path;
      row[i] = parse(valueAt(body, source));
    }
    name = SENT_TIME_FIELD;
    const time = sentTime(record);
    name = EVENT_ID_FIELD;
    return { eventId: eventId(record), sentTime: time };
  } catch (error) {
    if (error instanceof FieldError) return { messageId: record.messageId, field: name, code: error.code };
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

/** What stands at the path, undefined where nothing does. Own members only: `constructor` and `__proto__` are like any other. */
export function valueAt(body: object, path: readonly string[]): unknown {
  let value: unknown = body;
  for (const name of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}
