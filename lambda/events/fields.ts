import { parseAddress, toNetwork } from './address.ts';
import {
  type Column,
  type ErasedColumn,
  isErased,
  MAX_MASKED_TEXT_BYTES,
  type TextColumn,
} from './declaration.ts';
import { FieldError } from './rejection.ts';

/** A value as its column takes it: stored as it is, or canonical bytes that the masker turns into a token. */
export type FieldValue = string | number | Uint8Array | null;

/**
 * Checks the value that JSON.parse gave for a column's source, undefined where there is nothing, and brings it into
 * the form that the column takes.
 *
 * @throws FieldError with the code of the first rule that the value breaks
 */
export type FieldParser = (value: unknown) => FieldValue;

/** The parser of a column; made once, because looking the declaration up for each value takes longer than checking it. */
export function fieldParser(column: Column): FieldParser {
  // Not looked at: what is not kept cannot be wrong.
  if (isErased(column)) return () => null;
  const { optional = false } = column;
  const parse = textParser(column);
  return (value) => {
    if (value === undefined || value === null) {
      if (optional) return null;
      throw new FieldError('missing');
    }
    if (typeof value !== 'string') throw new FieldError('type');
    // Postgres has no NUL in text, and a lone surrogate would silently become U+FFFD on its way there.
    if (value.includes('\0') || !value.isWellFormed()) throw new FieldError('text');
    return parse(value);
  };
}

function textParser(column: Exclude<Column, ErasedColumn>): (value: string) => FieldValue {
  switch (column.type) {
    case 'address':
      return column.mask.policy === 'network' ? network : address;
    case 'version':
      return version;
    case 'text':
      return column.mask === undefined ? plainText(column) : canonicalText;
    default:
      return column satisfies never;
  }
}

/** Text that is stored as it is. Only an optional column may hold an empty one. */
function plainText({ maxLength, optional = false }: TextColumn): (value: string) => string {
  return (value) => {
    if (!optional && value.trim() === '') throw new FieldError('empty');
    if (value.length > maxLength && codePoints(value) > maxLength) throw new FieldError('too_long');
    return value;
  };
}

/** varchar(n) counts code points, `length` counts UTF-16 units. */
function codePoints(value: string): number {
  let count = value.length;
  for (let i = 0; i < value.length; i++) {
    if ((value.charCodeAt(i) & 0xfc00) === 0xd800) count--;
  }
  return count;
}

/** Canonical bytes of text: trimmed, Unicode NFC, UTF-8; at most 159 bytes. */
function canonicalText(value: string): Uint8Array {
  const canonical = value.trim().normalize('NFC');
  if (canonical === '') throw new FieldError('empty');
  // No code point of UTF-8 is shorter than a byte per UTF-16 unit, so a long text needs no encoding to be refused.
  if (canonical.length > MAX_MASKED_TEXT_BYTES) throw new FieldError('too_long');
  const bytes = Buffer.from(canonical);
  if (bytes.length > MAX_MASKED_TEXT_BYTES) throw new FieldError('too_long');
  return bytes;
}

/** Canonical bytes of an address; an empty one has the wrong format like any other text that is no address. */
function address(value: string): Uint8Array {
  const bytes = parseAddress(value);
  if (bytes === undefined) throw new FieldError('format');
  return bytes;
}

function network(value: string): Uint8Array {
  return toNetwork(address(value));
}

const MAX_INT32 = 2 ** 31 - 1;
const VERSION = /^v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:\+[0-9A-Za-z.-]+)?$/;

/** major * 1,000,000 + minor * 1,000 + patch: sorts as versions do and fits a Postgres integer. */
function version(value: string): number {
  if (value.trim() === '') throw new FieldError('empty');
  const match = VERSION.exec(value);
  if (match === null) throw new FieldError('format');
  const major = Number(match[1]);
  const minor = Number(match[2] ?? 0);
  const patch = Number(match[3] ?? 0);
  const code = major * 1_000_000 + minor * 1_000 + patch;
  if (minor > 999 || patch > 999 || code > MAX_INT32) throw new FieldError('range');
  return code;
}
