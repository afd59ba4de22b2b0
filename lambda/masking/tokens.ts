import { allocateCells, BLOCK, type Cells } from './cells.ts';
import type { Scheme } from './keyset.ts';

declare const masked: unique symbol;

/** `<scheme>~<kid>~<base64url without padding>`. The brand is given here only: no other text passes for a token. */
export type Token = string & { readonly [masked]: true };

/** Bytes of HMAC-SHA-256, of which nothing is left out. */
const MAC_BYTES = 32;
const TOKEN = /^(s1|h1)~([a-z][a-z0-9]{0,7})~([A-Za-z0-9_-]+)$/;

/** What a token says of itself. */
export interface ParsedToken {
  readonly scheme: Scheme;
  readonly kid: string;
  readonly data: Uint8Array;
}

/** @returns undefined for text that no token can be */
export function parseToken(text: string): ParsedToken | undefined {
  const [, scheme, kid = '', base64 = ''] = TOKEN.exec(text) ?? [];
  if (scheme === undefined) return undefined;
  const data = Buffer.from(base64, 'base64url');
  if (scheme === 'h1' && data.length !== MAC_BYTES) return undefined;
  // The last character of base64 can hold bits that decoding drops; only the encoder's own spelling is a token.
  return data.toString('base64url') === base64 ? { scheme: scheme as Scheme, kid, data } : undefined;
}

/** Where the text after the prefix of each token is. */
interface Places {
  readonly starts: Uint32Array;
  /** In bytes; 0 stands for NULL, because no token is without. */
  readonly lengths: Uint32Array;
}

/**
 * The tokens of one column, one a row, NULL where there was no value. They are kept as the bytes that are sent, all in one
 * buffer: a string for each of them would take longer than the encryption.
 */
export class Tokens implements Iterable<Token | null> {
  private readonly prefix: Buffer;
  /** ASCII, token after token without their prefix, with gaps. */
  private readonly text: Buffer;
  private readonly places: Places;

  private constructor(prefix: Buffer, text: Buffer, places: Places) {
    this.prefix = prefix;
    this.text = text;
    this.places = places;
  }

  /**
   * A token for each cell. One base64 call for all: each cell is laid out at a multiple of three bytes, so that it starts
   * at a whole character, and the characters that stand for the filling are left off.
   *
   * @param prefix `<scheme>~<kid>~`
   */
  static encode(prefix: string, { bytes, starts, lengths }: Cells): Tokens {
    const places = { starts: new Uint32Array(lengths.length), lengths: new Uint32Array(lengths.length) };
    let groups = 0;
    for (let i = 0; i < lengths.length; i++) {
      places.starts[i] = groups * 4;
      places.lengths[i] = Math.ceil((lengths[i]! * 4) / 3);
      groups += Math.ceil(lengths[i]! / 3);
    }
    const laid = Buffer.alloc(groups * 3);
    for (let i = 0; i < lengths.length; i++) {
      const from = starts[i]! * BLOCK;
      const to = (places.starts[i]! / 4) * 3;
      for (let b = 0; b < lengths[i]!; b++) laid[to + b] = bytes[from + b]!;
    }
    return new Tokens(Buffer.from(prefix), Buffer.from(laid.toString('base64url'), 'latin1'), places);
  }

  /** The same tokens in other rows. @param present for each row whether it has the next token, else it has NULL */
  spread(present: readonly boolean[]): Tokens {
    const places = { starts: new Uint32Array(present.length), lengths: new Uint32Array(present.length) };
    let next = 0;
    for (const [row, isPresent] of present.entries()) {
      if (!isPresent) continue;
      places.starts[row] = this.places.starts[next]!;
      places.lengths[row] = this.places.lengths[next++]!;
    }
    return new Tokens(this.prefix, this.text, places);
  }

  /** How many rows there are. */
  get length(): number {
    return this.places.lengths.length;
  }

  /** Bytes of the token of a row; undefined for NULL. */
  byteLength(row: number): number | undefined {
    const length = this.places.lengths[row]!;
    return length === 0 ? undefined : this.prefix.length + length;
  }

  /** Writes the token of a row. @returns where it ends */
  copy(row: number, target: Uint8Array, at: number): number {
    const { prefix, text, places } = this;
    let to = at;
    // Loops, because a call of set() costs more than copying so few bytes.
    for (let i = 0; i < prefix.length; i++) target[to++] = prefix[i]!;
    const start = places.starts[row]!;
    const end = start + places.lengths[row]!;
    for (let i = start; i < end; i++) target[to++] = text[i]!;
    return to;
  }

  at(row: number): Token | null {
    const { prefix, text, places } = this;
    const length = places.lengths[row]!;
    if (length === 0) return null;
    const start = places.starts[row]!;
    return `${prefix.toString('latin1')}${text.toString('latin1', start, start + length)}` as Token;
  }

  /** The text of each token as bytes, of a column without NULLs. */
  toCells(): Cells {
    const cells = allocateCells(Uint32Array.from({ length: this.length }, (_, row) => this.byteLength(row)!));
    for (let row = 0; row < this.length; row++) this.copy(row, cells.bytes, cells.starts[row]! * BLOCK);
    return cells;
  }

  *[Symbol.iterator](): Generator<Token | null> {
    for (let row = 0; row < this.length; row++) yield this.at(row);
  }
}
