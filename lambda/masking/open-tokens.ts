import { isUtf8 } from 'node:buffer';
import { ADDRESS_BYTES } from '../events/address.ts';
import type { MaskedColumn } from '../events/declaration.ts';
import { createAesSiv } from './aes-siv.ts';
import { unpad } from './cells.ts';
import type { Keyset } from './keyset.ts';
import { parseToken } from './tokens.ts';

/** What became of a token that was to be opened. */
export type OpenedToken =
  | {
      readonly kind: 'opened';
      /** Whose domain it is of. */
      readonly column: MaskedColumn;
      /** Canonical bytes. */
      readonly value: Uint8Array;
      readonly kid: string;
    }
  | {
      readonly kind: 'failed';
      readonly reason: OpeningFailure;
      readonly kid?: string;
      /** Of other_recipient: fingerprint of the key that the value is sealed to. */
      readonly recipient?: string;
    };

/**
 * `altered` is also what was made for none of the columns, or with another key of the same name: nothing tells them apart.
 * The last three are of irreversible tokens whose values are sealed in a vault.
 */
export type OpeningFailure =
  | 'not_a_token'
  | 'irreversible'
  | 'unknown_key'
  | 'altered'
  | 'not_in_vault'
  | 'no_content_key'
  | 'other_recipient';

const utf8 = new TextEncoder();

/**
 * Opens recoverable tokens, in whichever of the columns they belong: the domain of a column is part of its tokens, so that
 * no other opens them. All tokens of one key take a few calls of the cipher.
 */
export function openTokens(
  keyset: Keyset,
  columns: readonly MaskedColumn[],
  tokens: readonly string[],
): OpenedToken[] {
  const opened = new Array<OpenedToken>(tokens.length);
  const places = new Map<string, { readonly place: number; readonly sealed: Uint8Array }[]>();
  for (const [place, text] of tokens.entries()) {
    const token = parseToken(text);
    if (token === undefined) opened[place] = { kind: 'failed', reason: 'not_a_token' };
    else if (token.scheme === 'h1')
      opened[place] = { kind: 'failed', reason: 'irreversible', kid: token.kid };
    else if (!keyset.kids.includes(token.kid))
      opened[place] = { kind: 'failed', reason: 'unknown_key', kid: token.kid };
    else {
      opened[place] = { kind: 'failed', reason: 'altered', kid: token.kid };
      const ofKey = places.get(token.kid) ?? [];
      ofKey.push({ place, sealed: token.data });
      places.set(token.kid, ofKey);
    }
  }
  for (const [kid, ofKey] of places) {
    const key = keyset.derive('s1', kid);
    for (const column of oneOfEachDomain(columns)) {
      const left = ofKey.filter(({ place }) => opened[place]!.kind === 'failed');
      const values = openValues(
        key,
        column,
        left.map(({ sealed }) => sealed),
      );
      for (const [i, value] of values.entries()) {
        if (value !== undefined) opened[left[i]!.place] = { kind: 'opened', column, value, kid };
      }
    }
  }
  return opened;
}

/** @returns undefined for what the key did not make in the column's domain, or made of what is no value of the column */
export function openValues(
  key: Uint8Array,
  { type, mask }: MaskedColumn,
  sealed: readonly Uint8Array[],
): (Uint8Array | undefined)[] {
  const plaintexts = createAesSiv(key, [utf8.encode(mask.domain)]).open(sealed);
  return plaintexts.map((plaintext) => {
    const value = plaintext !== undefined && type === 'text' ? unpad(plaintext) : plaintext;
    if (value === undefined) return undefined;
    return (type === 'text' ? isUtf8(value) : value.length === ADDRESS_BYTES) ? value : undefined;
  });
}

/** Columns of one domain open the same tokens. */
export function oneOfEachDomain(columns: readonly MaskedColumn[]): MaskedColumn[] {
  return [...new Map(columns.map((column) => [column.mask.domain, column])).values()];
}
