import { ConfigError } from '../errors.ts';
import { isMasked, type MaskedColumn, type Masking, type TableDeclaration } from '../events/declaration.ts';
import type { EventIdentity, ParsedChunk, ParsedColumn } from '../events/parse.ts';
import { type KeyProof, PROOF_DOMAIN, proveKey } from './key-proof.ts';
import type { Keyset } from './keyset.ts';
import { columnMasker } from './masker.ts';
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
}

/** The value of a row as text or number. */
export function storableValue(column: StorableColumn, row: number): string | number | null {
  return column.kind === 'masked' ? column.values.at(row) : column.values[row]!;
}

/** The masker of a table under one keyset. */
export interface TableMasker {
  /** Turns what the declaration wants masked into tokens under the primary key. */
  mask(chunk: ParsedChunk): StorableChunk;
  /** That it makes these tokens with. */
  readonly key: KeyProof;
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
    mask: ({ events, columns }) => ({
      events,
      columns: columns.map((column, i) =>
        column.kind === 'plain' ? column : { kind: 'masked', values: maskers[i]!(column.values) },
      ),
    }),
    key: proveKey(keyset),
  };
}

/**
 * One domain holds one type: an address is masked as its bytes and text with padding, so that an address and a text
 * could have the same token.
 */
function checkDomains(columns: readonly MaskedColumn[]): void {
  for (const { column, type, mask } of columns) {
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
      (candidate) => candidate.mask.domain === mask.domain && candidate.type !== type,
    );
    if (other !== undefined) {
      throw new ConfigError(
        `columns ${column} and ${other.column}: expected one type in domain ${mask.domain}, got ${type} and ${other.type}`,
      );
    }
  }
}
