import { hash } from 'node:crypto';
import type { SQSRecord } from 'aws-lambda';
import { FieldError } from './rejection.ts';

/** Fields that stand beside the body, as rejections name them. */
export const SENT_TIME_FIELD = 'sent time';
export const EVENT_ID_FIELD = 'EventId';

/** Message attributes: a producer's own idempotency key and event time, or what a redrive carries. */
export const EVENT_ID_ATTRIBUTE = 'EventId';
export const EVENT_TIME_ATTRIBUTE = 'EventTime';

const ISO_8601 = /^(\d{4})-(\d{2})-(\d{2})(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2}))?$/;
/** Smaller numbers are seconds, as LocalStack 0.14 sends them: 10^11 ms is March 1973, 10^11 s the year 5138. */
const SMALLEST_MILLISECONDS = 1e11;
/** The first millisecond of the year 10000: ISO dates, and so the `date` literals we write, have four digits. */
const YEAR_10000 = 253_402_300_800_000;
export const MILLISECONDS_A_DAY = 86_400_000;

/**
 * The idempotency key of a message: its `EventId` attribute where there is one, else its messageId.
 * A UUID is used as it is; other text becomes the first 16 bytes of its SHA-256 as a UUID version 8 (RFC 9562 5.8).
 *
 * @returns a UUID in lower case
 * @throws FieldError where the attribute is there but holds no text
 */
export function eventId(record: SQSRecord): string {
  const text = attribute(record, EVENT_ID_ATTRIBUTE) ?? record.messageId;
  if (isUuid(text)) return text;
  const lower = text.toLowerCase();
  return isUuid(lower) ? lower : uuidFromText(text);
}

const HYPHEN = 0x2d;
/** 1 for the character codes of lower-case hexadecimal digits. */
const HEX = new Uint8Array(0x100);
for (const digit of '0123456789abcdef') HEX[digit.charCodeAt(0)] = 1;

/** True for a UUID in lower case. By characters, because a pattern takes twice as long, once for every message. */
function isUuid(text: string): boolean {
  if (text.length !== 36) return false;
  for (let i = 0; i < 36; i++) {
    const char = text.charCodeAt(i);
    if (i === 8 || i === 13 || i === 18 || i === 23 ? char !== HYPHEN : HEX[char] !== 1) return false;
  }
  return true;
}

function uuidFromText(text: string): string {
  const bytes = hash('sha256', text, 'buffer').subarray(0, 16);
  bytes[6] = 0x80 | (bytes[6]! & 0x0f);
  bytes[8] = 0x80 | (bytes[8]! & 0x3f);
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/**
 * When the event was sent: its `EventTime` attribute (ISO 8601 or epoch milliseconds) where there is one, else SQS's
 * SentTimestamp.
 *
 * @returns milliseconds since 1970 UTC
 * @throws FieldError `missing` where there is neither, `format` or `range` where it is no time of the years 1970-9999
 */
export function sentTime(record: SQSRecord): number {
  const eventTime = attribute(record, EVENT_TIME_ATTRIBUTE);
  const time =
    eventTime === undefined ? timestamp(record.attributes?.SentTimestamp) : parseEventTime(eventTime);
  if (Number.isNaN(time)) throw new FieldError('format');
  if (time < 0 || time >= YEAR_10000) throw new FieldError('range');
  return time;
}

function timestamp(text: string | undefined): number {
  if (!text) throw new FieldError('missing');
  return /^\d{1,16}$/.test(text) ? milliseconds(Number(text)) : Number.NaN;
}

function milliseconds(time: number): number {
  return time < SMALLEST_MILLISECONDS ? time * 1000 : time;
}

/**
 * When the oldest message was sent, whatever its `EventTime` says of the event.
 *
 * @param except ids of messages that do not count
 * @returns milliseconds since 1970 UTC; undefined where no message says when
 */
export function oldestSentTime(
  records: readonly SQSRecord[],
  except: ReadonlySet<string>,
): number | undefined {
  let oldest = '';
  for (const { messageId, attributes } of records) {
    const text = attributes?.SentTimestamp;
    if (text && isLess(text, oldest) && !except.has(messageId)) oldest = text;
  }
  return /^\d+$/.test(oldest) ? milliseconds(Number(oldest)) : undefined;
}

/** Compares digits as they stand: to make numbers of all of them takes four times as long. */
function isLess(a: string, b: string): boolean {
  return b === '' || a.length < b.length || (a.length === b.length && a < b);
}

/** A year or a compact date is no number of milliseconds: those have had twelve digits since 1973. */
function parseEventTime(text: string): number {
  if (/^\d{12,16}$/.test(text)) return Number(text);
  const [, year, month, day] = ISO_8601.exec(text) ?? [];
  // Date.parse takes the 31st of any month for the first of the next.
  const date = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day)));
  return date.getUTCDate() === Number(day) ? Date.parse(text) : Number.NaN;
}

/** `YYYY-MM-DD` in UTC of a time in milliseconds. */
export function utcDate(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}

/** True when SQS has handed this message out before, so that it may be stored already. */
export function wasReceivedBefore(record: SQSRecord): boolean {
  return Number(record.attributes?.ApproximateReceiveCount ?? 1) > 1;
}

/** Text of a message attribute; undefined where the message has none of that name. */
function attribute(record: SQSRecord, name: string): string | undefined {
  const value = record.messageAttributes?.[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value.stringValue !== 'string' || value.stringValue.trim() === '') throw new FieldError('type');
  return value.stringValue.trim();
}
