import { ConfigError } from '../errors.ts';
import { isMasked, type MaskedColumn, type Masking, type TableDeclaration } from '../events/declaration.ts';
import { cellAt } from './cells.ts';
import { schemeOf } from './masker.ts';
import type { SealerMemory } from './sealer-memory.ts';
import type { ContentKey, RecoveryKey } from './sealing.ts';
import type { Tokens } from './tokens.ts';

/** A value as the vault has it. */
export interface SealedValue {
  /** Of the column that it is of: without it nobody could make the value's token under another key. */
  readonly domain: string;
  readonly sealed: Uint8Array;
}

/**
 * What the vault is to hold beside the rows of a batch: values that are not known to be there. There is more of it with
 * every chunk that is masked.
 */
export interface SealedValues {
  /** Fingerprint of the key that it is sealed to. */
  readonly recipient: string;
  /** The content key, sealed; undefined while there is no value. */
  readonly sealedKey: Uint8Array | undefined;
  /** By token. */
  readonly values: ReadonlyMap<string, SealedValue>;
}

/** One pass over the chunks of a batch. */
export interface Sealing {
  readonly sealed: SealedValues;
  /** @param column which of the declaration's; its values with their tokens, NULL where there is none */
  add(column: number, values: readonly (Uint8Array | null)[], tokens: Tokens): void;
  /** Destroys the content key. */
  end(): void;
}

/** Seals what the vault may lack. */
export interface Sealer {
  begin(): Sealing;
}

/**
 * Whether a column's values go into the vault. What a declaration fixes as irreversible nobody is to recover, in this way
 * either.
 */
export function isSealed({ mask: { policy } }: MaskedColumn): boolean {
  return policy !== 'irreversible';
}

/**
 * @param masking the scheme of columns whose declaration does not fix one
 * @param memory of what is in the vault
 * @throws ConfigError where a column's tokens can be recovered without the private key
 */
export function createSealer(
  declaration: TableDeclaration,
  masking: Masking,
  recoveryKey: RecoveryKey,
  memory: SealerMemory,
): Sealer {
  for (const column of declaration.columns.filter(isMasked)) {
    if (schemeOf(column, masking) === 's1') {
      throw new ConfigError(
        `column ${column.column}: expected irreversible tokens where values are sealed, got recoverable ones, whose key would open all of them; make its policy irreversible or none`,
      );
    }
  }
  return { begin: () => beginSealing(declaration, recoveryKey, memory) };
}

function beginSealing(
  { columns }: TableDeclaration,
  recoveryKey: RecoveryKey,
  memory: SealerMemory,
): Sealing {
  const sealed = new Map<string, SealedValue>();
  let contentKey: ContentKey | undefined;

  /** Values of a chunk that are neither in the vault nor sealed, by token. */
  function unsealed(values: readonly (Uint8Array | null)[], tokens: Tokens): Map<string, Uint8Array> {
    const found = new Map<string, Uint8Array>();
    for (let row = 0; row < values.length; row++) {
      const value = values[row]!;
      if (value === null) continue;
      const token = tokens.at(row)!;
      if (!sealed.has(token) && !memory.has(token)) found.set(token, value);
    }
    return found;
  }

  return {
    sealed: {
      recipient: recoveryKey.fingerprint,
      get sealedKey() {
        return contentKey?.sealedKey;
      },
      values: sealed,
    },
    add(index, values, tokens) {
      const column = columns[index]!;
      if (!isMasked(column) || !isSealed(column)) return;
      const found = unsealed(values, tokens);
      if (found.size === 0) return;
      contentKey ??= recoveryKey.createContentKey();
      const cells = contentKey.seal(column, [...found.values()]);
      const { domain } = column.mask;
      let i = 0;
      for (const token of found.keys()) sealed.set(token, { domain, sealed: cellAt(cells, i++) });
    },
    end: () => contentKey?.destroy(),
  };
}
