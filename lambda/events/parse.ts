import type { SQSRecord } from 'aws-lambda';
import { type Column, isMasked, type TableDeclaration } from './declaration.ts';
import { type FieldParser, fieldParser } from './fields.ts';
import {
  EVENT_ID_FIELD,
  eventId,
  MILLISECONDS_A_DAY,
  SENT_TIME_FIELD,
  sentTime,
  utcDate,
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
 * @param sizes how many records each chunk has, all together as many as there are @default all in one
 */
export function* parseBatch(
  declaration: TableDeclaration,
  records: readonly SQSRecord[],
  sizes: readonly number[] = [records.length],
): Generator<ParsedChunk, void, void> {
  const fields = declaration.columns.map(fieldOf);
  const days = new Map<number, Day>();
  let start = 0;
  for (const size of sizes) {
    yield parseChunk(fields, records.slice(start, start + size), days);
    start += size;
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

/**
 * A column at a time: few lines over many values of one kind are what the compiler makes fast. A record that has broken a
 * rule is left out of what follows, so it is rejected for the first one.
 */
function parseChunk(
  fields: readonly Field[],
  records: readonly SQSRecord[],
  days: Map<number, Day>,
): ParsedChunk {
  // Without an id a failure could not be named in the response, and what is not named is acknowledged.
  if (!records.every(({ messageId }) => messageId)) throw new TypeError('record without messageId');
  const draft: Draft = { records, rejections: new Array(records.length) };
  const bodies = readAll(draft, BODY_FIELD, ({ body }) => parseBody(body));
  const columns = fields.map(({ path, source, kind, parse }) => {
    const values = readAll(draft, path, (_record, row) => parse(valueAt(bodies[row]!, source)));
    // A field's parser gives what its kind says, for every value.
    return { kind, values } as ParsedColumn;
  });
  const times = readAll(draft, SENT_TIME_FIELD, sentTime);
  const ids = readAll(draft, EVENT_ID_FIELD, eventId);
  return assemble(draft, columns, { ids, times }, days);
}

/** Records on their way. */
interface Draft {
  readonly records: readonly SQSRecord[];
  /** For each record the first rule that it has broken; undefined while there is none. */
  readonly rejections: (Rejection | undefined)[];
}

/** @returns what was read of each record; nothing of those that have broken a rule */
function readAll<T>(
  { records, rejections }: Draft,
  field: string,
  read: (record: SQSRecord, row: number) => T,
): T[] {
  const values: T[] = new Array(records.length);
  for (let row = 0; row < records.length; row++) {
    if (rejections[row] !== undefined) continue;
    const record = records[row]!;
    try {
      values[row] = read(record, row);
    } catch (error) {
      if (!(error instanceof FieldError)) throw error;
      rejections[row] = { messageId: record.messageId, field, code: error.code };
    }
  }
  return values;
}

/** Leaves out what was rejected, and what is in the batch already. */
function assemble(
  { records, rejections }: Draft,
  columns: readonly ParsedColumn[],
  { ids, times }: { readonly ids: readonly string[]; readonly times: readonly number[] },
  days: Map<number, Day>,
): ParsedChunk {
  const events: EventIdentity[] = [];
  const repeats: Repeat[] = [];
  const rows: number[] = [];
  for (let row = 0; row < records.length; row++) {
    if (rejections[row] !== undefined) continue;
    const { messageId } = records[row]!;
    const eventId = ids[row]!;
    const { date, messages } = dayOf(times[row]!, days);
    const first = messages.get(eventId);
    if (first !== undefined) {
      repeats.push({ messageId, of: first });
      continue;
    }
    messages.set(eventId, messageId);
    events.push({ messageId, eventId, date });
    rows.push(row);
  }
  const isWhole = rows.length === records.length;
  return {
    events,
    columns: isWhole ? columns : columns.map((column) => pick(column, rows)),
    rejected: isWhole ? [] : rejections.filter((rejection) => rejection !== undefined),
    repeats,
  };
}

function pick({ kind, values }: ParsedColumn, rows: readonly number[]): ParsedColumn {
  return { kind, values: rows.map((row) => values[row]) } as ParsedColumn;
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

/** The events of messages, but for those that do not say which: parsing rejects them. */
export function identify(records: readonly SQSRecord[]): EventIdentity[] {
  return records.flatMap((record) => {
    try {
      return [{ messageId: record.messageId, eventId: eventId(record), date: utcDate(sentTime(record)) }];
    } catch (error) {
      if (error instanceof FieldError) return [];
      throw error;
    }
  });
}

/** The chunk without the rows of some events. */
export function leaveOut(chunk: ParsedChunk, isLeftOut: (event: EventIdentity) => boolean): ParsedChunk {
  const rows = [...chunk.events.keys()].filter((row) => !isLeftOut(chunk.events[row]!));
  if (rows.length === chunk.events.length) return chunk;
  return {
    ...chunk,
    events: rows.map((row) => chunk.events[row]!),
    columns: chunk.columns.map((column) => pick(column, rows)),
  };
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
