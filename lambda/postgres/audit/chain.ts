import { hash } from 'node:crypto';
import { parseToken } from '../../masking/tokens.ts';

export type Action =
  | 'recover'
  | 'lookup'
  | 'erase'
  | 'rekey'
  | 'keys add'
  | 'keys promote'
  | 'keys retire'
  | 'keys shred';

/** What somebody does with keys or with what they protect. None of it says a value in clear. */
export interface Act {
  readonly who: string;
  readonly reason: string;
  readonly action: Action;
  /** Names of the masked columns that it is about. */
  readonly columns: readonly string[];
  readonly kids: readonly string[];
  /** Tokens that were asked for, or rows that were found or erased. */
  readonly count: number;
  /** Of the tokens that it is about, by digestOf. */
  readonly digest: string;
}

/** An act as it stands in the trail. */
export interface AuditRow extends Act {
  /** 1, 2, 3 … without gaps. */
  readonly number: number;
  /** The server's clock, as `2026-11-22T10:00:00.123456Z`. */
  readonly at: string;
  /** The hash of the row before. */
  readonly previous: string;
  /** Of everything else in the row. */
  readonly hash: string;
}

/** A whole number; of those that anybody may have written into the table, some are too large for a number. */
export type Whole = number | bigint;

/** An act as it is read from the trail. */
export interface TrailRow extends Omit<AuditRow, 'number' | 'count'> {
  readonly number: Whole;
  readonly count: Whole;
}

/** The number where that is exact. */
export function whole(value: bigint): Whole {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** Of `at`, for to_char in UTC: as exact as the server keeps time. */
export const TIME_FORMAT = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"';

/** What the first row has in place of the hash of the row before. */
export const BEFORE_THE_FIRST = '0'.repeat(64);

/**
 * Hex SHA-256 over the JSON array of the tokens, in their order. What is no token counts as an empty text: it may be an
 * address that was pasted in place of one, and of its digest alone a processor finds it in minutes.
 */
export function digestOf(tokens: readonly string[]): string {
  return hash(
    'sha256',
    JSON.stringify(tokens.map((token) => (parseToken(token) === undefined ? '' : token))),
  );
}

/**
 * The hash of a row: hex SHA-256 of the UTF-8 of a JSON array, written as ECMAScript's JSON.stringify writes it, of
 * strings and of arrays of strings: number (decimal), at (UTC, six decimals), who, action, reason, columns, count
 * (decimal), kids, digest, previous. No two rows have one text, because JSON says where each string ends.
 */
export function chainHash(row: Omit<TrailRow, 'hash'>): string {
  const { number, at, who, action, reason, columns, count, kids, digest, previous } = row;
  return hash(
    'sha256',
    JSON.stringify([String(number), at, who, action, reason, columns, String(count), kids, digest, previous]),
  );
}

/** What is wrong with a row, or before it. */
export interface Fault {
  readonly number: Whole;
  /**
   * - `altered`: it is not what its hash was made of
   * - `unlinked`: the row before is not the one that it was appended to
   * - `missing`: of the rows from `number` on, `rows` are not there
   * - `doubled`: there is another row of its number
   */
  readonly fault: 'altered' | 'unlinked' | 'missing' | 'doubled';
  readonly rows?: Whole;
}

/** What a look at the whole chain came to. */
export interface Verdict {
  /** Rows that are there. */
  readonly count: number;
  /** The hash of the last one. Whoever notes it elsewhere finds out later whether the chain was cut off or made anew. */
  readonly head: string;
  readonly faults: readonly Fault[];
}

/** Checks a chain row by row, in the order of the numbers. */
export class ChainChecker {
  private count = 0;
  private number = 0n;
  private hash = BEFORE_THE_FIRST;
  private readonly faults: Fault[] = [];

  add(row: TrailRow): void {
    const { number, hash, previous } = row;
    const expected = this.number + 1n;
    if (BigInt(number) === this.number) this.faults.push({ number, fault: 'doubled' });
    else if (BigInt(number) !== expected)
      this.faults.push({
        number: whole(expected),
        fault: 'missing',
        rows: whole(BigInt(number) - expected),
      });
    else if (previous !== this.hash) this.faults.push({ number, fault: 'unlinked' });
    if (hash !== chainHash(row)) this.faults.push({ number, fault: 'altered' });
    this.count++;
    this.number = BigInt(number);
    this.hash = hash;
  }

  verdict(): Verdict {
    return { count: this.count, head: this.hash, faults: this.faults };
  }
}
