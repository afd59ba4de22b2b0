import type { EventIdentity } from '../../events/parse.ts';
import type { StorableChunk } from '../../masking/table-masker.ts';
import type { Tokens } from '../../masking/tokens.ts';

/** Bytes of what has a fixed length. */
const INT16 = 2;
const INT32 = 4;
const UUID = 16;
/** In the place of a length. */
const NULL = -1;
/** What a row of login events takes, and some room. */
const USUAL_ROW = 320;

const MILLISECONDS_A_DAY = 86_400_000;
/** The day from which PostgreSQL counts days. */
const DAY_ZERO = Date.UTC(2000, 0, 1);

/**
 * Rows of COPY's binary format (https://www.postgresql.org/docs/current/sql-copy.html, "Tuples"): of each row how many
 * fields, then each field with its length before it. Text is UTF-8; an integer and a date have four bytes, a UUID has
 * sixteen.
 *
 * @param from the first of the rows @default 0
 * @param to after the last of them @default all
 */
export function encodeRows({ events, columns }: StorableChunk, from = 0, to = events.length): Uint8Array {
  const rows = new RowBuffer((to - from) * USUAL_ROW);
  const ids = uuids(events);
  let date = '';
  let day = 0;
  for (let row = from; row < to; row++) {
    rows.fields(columns.length + 2);
    for (let i = 0; i < columns.length; i++) {
      const column = columns[i]!;
      if (column.kind === 'masked') rows.token(column.values, row);
      else rows.value(column.values[row]!);
    }
    if (events[row]!.date !== date) {
      date = events[row]!.date;
      day = (Date.parse(date) - DAY_ZERO) / MILLISECONDS_A_DAY;
    }
    rows.integer(day);
    rows.uuid(ids, row);
  }
  return rows.written();
}

/** One call for all of them. */
function uuids(events: readonly EventIdentity[]): Uint8Array {
  const digits = events.map(({ eventId }) => eventId).join('');
  return Buffer.from(digits.replaceAll('-', ''), 'hex');
}

/** Bytes that grow. Written by hand, because a call of Buffer's methods costs more than the few bytes of a field. */
class RowBuffer {
  private buffer: Buffer;
  private at = 0;

  constructor(size: number) {
    this.buffer = Buffer.allocUnsafe(size);
  }

  written(): Uint8Array {
    return this.buffer.subarray(0, this.at);
  }

  fields(count: number): void {
    this.reserve(INT16);
    this.buffer[this.at++] = count >> 8;
    this.buffer[this.at++] = count;
  }

  value(value: string | number | null): void {
    if (value === null) this.null();
    else if (typeof value === 'number') this.integer(value);
    else this.text(value);
  }

  private null(): void {
    this.reserve(INT32);
    this.int32(NULL);
  }

  integer(value: number): void {
    this.reserve(2 * INT32);
    this.int32(INT32);
    this.int32(value);
  }

  private text(value: string): void {
    // No character takes more than three bytes for each of its UTF-16 units.
    this.reserve(INT32 + 3 * value.length);
    const length = this.buffer.write(value, this.at + INT32);
    this.int32(length);
    this.at += length;
  }

  token(tokens: Tokens, row: number): void {
    const length = tokens.byteLength(row);
    if (length === undefined) {
      this.null();
      return;
    }
    this.reserve(INT32 + length);
    this.int32(length);
    this.at = tokens.copy(row, this.buffer, this.at);
  }

  /** @param row which of them */
  uuid(ids: Uint8Array, row: number): void {
    this.reserve(INT32 + UUID);
    this.int32(UUID);
    for (let i = row * UUID; i < (row + 1) * UUID; i++) this.buffer[this.at++] = ids[i]!;
  }

  private int32(value: number): void {
    const { buffer } = this;
    buffer[this.at++] = value >> 24;
    buffer[this.at++] = value >> 16;
    buffer[this.at++] = value >> 8;
    buffer[this.at++] = value;
  }

  private reserve(bytes: number): void {
    if (this.at + bytes <= this.buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.at + bytes, 2 * this.buffer.length));
    this.buffer.copy(larger, 0, 0, this.at);
    this.buffer = larger;
  }
}
