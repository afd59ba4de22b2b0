import { ConfigError } from '../errors.ts';
import { isMasked, type MaskedColumn, type Masking, type TableDeclaration } from '../events/declaration.ts';
import type { EventIdentity, ParsedChunk, ParsedColumn } from '../events/parse.ts';
import { type KeyProof, PROOF_DOMAIN, proveKeys } from './key-proof.ts';
import type { Keyset } from './keyset.ts';
import { columnMasker } from './masker.ts';
import type { SealedValues, Sealing } from './sealer.ts';
import type { Tokens } from './tokens.ts';

/** The values of one column as the database takes them. Canonical bytes have no place here. */
export type StorableColumn =
  | Extract<ParsedColumn, { kind: 'plain' }>
  | { readonly kind: 'masked'; readonly values: Tokens };

/** Rows that may be stored, by columns. */
export interface StorableChunk {
  readonly events: readonly EventIdentity[];
  /** One for each column of the declaration, in its order. */
  readonly columns: readonly StorableColumn[];
  /** What the vault needs for these rows and those of the chunks before; undefined where values are not sealed. */
  readonly sealed?: SealedValues | undefined;
}

/** The value of a row as text or number. */
export function storableValue(column: StorableColumn, row: number): string | number | null {
  return column.kind === 'masked' ? column.values.at(row) : column.values[row]!;
}

/** The masker of a table under one keyset. */
export interface TableMasker {
  /**
   * Turns what the declaration wants masked into tokens under the primary key.
   *
   * @param sealing of the batch, where values are sealed
   */
  mask(chunk: ParsedChunk, sealing?: Sealing): StorableChunk;
  /** Proofs of the key that it makes these tokens with. */
  readonly keys: readonly KeyProof[];
}

/**
 * @param masking the scheme of columns whose declaration does not fix one
 * @throws ConfigError where the domains of the declaration could give different values one token
 */
export function tableMasker(keyset: Keyset, masking: Masking, declaration: TableDeclaration): TableMasker {
  checkDomains(declaration.columns.filter(isMasked));
  const maskers = declaration.columns.map((column) =>
    isMasked(column) ? columnMasker(keyset, masking, column) : undefined,
  );
  return {
    mask: ({ events, columns }, sealing) => ({
      events,
      columns: columns.map((column, i) => {
        if (column.kind === 'plain') return column;
        const tokens = maskers[i]!(column.values);
        sealing?.add(i, column.values, tokens);
        return { kind: 'masked', values: tokens };
      }),
      sealed: sealing?.sealed,
    }),
    keys: proveKeys(keyset, masking, declaration),
  };
}

/**
 * One domain holds one type: an address is masked as its bytes, a network as those of its first address, and text with
 * padding, so that values of two types could have the same token.
 */
function checkDomains(columns: readonly MaskedColumn[]): void {
  for (const masked of columns) {
    const { column, mask } = masked;
    if (!/^[a-z][a-z0-9_]*$/.test(mask.domain)) {
      throw new ConfigError(
        `column ${column}: expected a domain of letters a-z, digits and _, a letter first`,
      );
    }
    if (mask.domain === PROOF_DOMAIN) {
      throw new ConfigError(
        `column ${column}: expected another domain than ${PROOF_DOMAIN}, which is that of the proofs of keys`,
      );
    }
    const other = columns.find(
      (candidate) => candidate.mask.domain === mask.domain && typeOf(candidate) !== typeOf(masked),
    );
    if (other !== undefined) {
      throw new ConfigError(
        `columns ${column} and ${other.column}: expected one type in domain ${mask.domain}, got ${typeOf(masked)} and ${typeOf(other)}`,
      );
    }
  }
}

function typeOf({ type, mask }: MaskedColumn): MaskedColumn['type'] | 'network' {
  return mask.policy === 'network' ? 'network' : type;
}
