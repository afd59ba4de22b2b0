import type { MaskedColumn, Masking } from '../events/declaration.ts';
import { createAesSiv } from './aes-siv.ts';
import { type Cells, packCells, packPaddedCells, unpad } from './cells.ts';
import { hmacCells } from './hmac.ts';
import type { Keyset, Scheme } from './keyset.ts';
import { Tokens } from './tokens.ts';

/** Turns the canonical bytes of a column into tokens; null stays null. */
export type ColumnMasker = (values: readonly (Uint8Array | null)[]) => Tokens;

const SCHEMES = { recoverable: 's1', irreversible: 'h1' } as const satisfies Record<Masking, Scheme>;
const utf8 = new TextEncoder();

/**
 * The masker of one column under the primary key. Equal values of a domain get equal tokens, whatever the batch.
 *
 * @param masking the scheme of columns whose declaration does not fix one
 */
export function columnMasker(keyset: Keyset, masking: Masking, column: MaskedColumn): ColumnMasker {
  const scheme = SCHEMES[column.mask.masking ?? masking];
  const prefix = `${scheme}~${keyset.primary}~`;
  const encrypt = cellMasker(keyset, scheme, column);
  return (values) => {
    const present = values.filter((value) => value !== null);
    const tokens = Tokens.encode(prefix, encrypt(present));
    return present.length === values.length ? tokens : tokens.spread(values.map((value) => value !== null));
  };
}

function cellMasker(
  keyset: Keyset,
  scheme: Scheme,
  column: MaskedColumn,
): (values: readonly Uint8Array[]) => Cells {
  const domain = utf8.encode(column.mask.domain);
  const bytes = keyset.derive(scheme, keyset.primary);
  switch (scheme) {
    case 's1': {
      const siv = createAesSiv(bytes, [domain]);
      // Addresses are one block as they are; only text needs padding.
      const pack = column.type === 'address' ? packCells : packPaddedCells;
      return (values) => siv.seal(pack(values));
    }
    case 'h1': {
      const prefix = Uint8Array.of(...domain, 0);
      return (values) => hmacCells(bytes, prefix, packCells(values));
    }
    default:
      return scheme satisfies never;
  }
}

const TOKEN = /^(s1|h1)~([a-z][a-z0-9]{0,7})~([A-Za-z0-9_-]+)$/;

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
  const domain = utf8.encode(column.mask.domain);
  const sivs = new Map(keyset.kids.map((kid) => [kid, createAesSiv(keyset.derive('s1', kid), [domain])]));
  return tokens.map((token) => {
    const [, scheme, kid = '', data = ''] = TOKEN.exec(token) ?? [];
    const siv = sivs.get(kid);
    const sealed = Buffer.from(data, 'base64url');
    // The last character of base64 can hold bits that decoding drops; only the encoder's own spelling is a token.
    if (scheme !== 's1' || siv === undefined || sealed.toString('base64url') !== data) return undefined;
    const [plaintext] = siv.open([sealed]);
    return plaintext === undefined || column.type === 'address' ? plaintext : unpad(plaintext);
  });
}
