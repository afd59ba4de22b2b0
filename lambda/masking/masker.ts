import type { MaskedColumn, Masking } from '../events/declaration.ts';
import { createAesSiv } from './aes-siv.ts';
import { type Cells, packCells, packPaddedCells } from './cells.ts';
import { hmacCells } from './hmac.ts';
import type { Keyset, Scheme } from './keyset.ts';
import { openTokens } from './open-tokens.ts';
import { Tokens } from './tokens.ts';

/** Turns the canonical bytes of a column into tokens; null stays null. */
export type ColumnMasker = (values: readonly (Uint8Array | null)[]) => Tokens;

/** Turns canonical bytes into tokens, one each. */
export type ValueMasker = (values: readonly Uint8Array[]) => Tokens;

const SCHEMES = { recoverable: 's1', irreversible: 'h1' } as const satisfies Record<Masking, Scheme>;
const utf8 = new TextEncoder();

/** The scheme of a column's tokens. @param masking the scheme of columns whose declaration does not fix one */
export function schemeOf({ mask: { policy } }: MaskedColumn, masking: Masking): Scheme {
  return SCHEMES[policy === undefined || policy === 'network' ? masking : policy];
}

/**
 * The masker of one column under the primary key. Equal values of a domain get equal tokens, whatever the batch.
 *
 * @param masking the scheme of columns whose declaration does not fix one
 */
export function columnMasker(keyset: Keyset, masking: Masking, column: MaskedColumn): ColumnMasker {
  const mask = valueMasker(keyset, schemeOf(column, masking), column, keyset.primary);
  return (values) => {
    const present = values.filter((value) => value !== null);
    const tokens = mask(present);
    return present.length === values.length ? tokens : tokens.spread(values.map((value) => value !== null));
  };
}

/** The masker of a column's values under one key, in one scheme. @throws KeysetError where a key is missing */
export function valueMasker(keyset: Keyset, scheme: Scheme, column: MaskedColumn, kid: string): ValueMasker {
  switch (scheme) {
    case 's1': {
      const siv = createAesSiv(keyset.derive(scheme, kid), [utf8.encode(column.mask.domain)]);
      // Addresses are one block as they are; only text needs padding.
      const pack = column.type === 'address' ? packCells : packPaddedCells;
      return (values) => Tokens.encode(`s1~${kid}~`, siv.seal(pack(values)));
    }
    case 'h1': {
      const layer = layerMasker(keyset, column, kid);
      const { over } = keyset.facts(kid);
      if (over === undefined) return (values) => layer(packCells(values));
      const below = valueMasker(keyset, scheme, column, over);
      return (values) => layer(below(values).toCells());
    }
    default:
      return scheme satisfies never;
  }
}

/**
 * One layer of the irreversible scheme: HMAC-SHA-256 of whatever lies below, which is a value, or the token of one under
 * the key below.
 */
export function layerMasker(keyset: Keyset, column: MaskedColumn, kid: string): (below: Cells) => Tokens {
  const key = keyset.derive('h1', kid);
  const prefix = Uint8Array.of(...utf8.encode(column.mask.domain), 0);
  return (below) => Tokens.encode(`h1~${kid}~`, hmacCells(key, prefix, below));
}

/**
 * The canonical bytes behind recoverable tokens of one column.
 *
 * @returns undefined for whatever is no token, was made irreversibly, under a key that is not in the keyset, for
 *   another domain, or has been altered
 */
export function unmask(
  keyset: Keyset,
  column: MaskedColumn,
  tokens: readonly string[],
): (Uint8Array | undefined)[] {
  return openTokens(keyset, [column], tokens).map((opened) =>
    opened.kind === 'opened' ? opened.value : undefined,
  );
}
