import { randomUUID } from 'node:crypto';
import type { ClientBase } from 'pg';
import { isMasked, type TableDeclaration } from '../../events/declaration.ts';
import { isSealed, type SealedValues } from '../../masking/sealer.ts';
import { binaryArray, OID } from '../write/binary-array.ts';
import type { Statement } from '../write/pipeline.ts';
import type { WriteReport } from '../write/report.ts';
import type { SortedRows } from '../write/rows.ts';
import { vaultKeysTable, vaultTable } from './tables.ts';

/**
 * Puts values into the vault that are not there, and with the first of them the content key that opens them. It needs no
 * right but INSERT: a conflict that names no columns reads none, nor does RETURNING a constant. Sorted, because two
 * transactions that insert the same tokens in different orders wait for each other until Postgres kills one. Each array
 * is unnested by itself, because what unnest makes of several is written out before it is read.
 *
 * @param domains of which $4 and $5, $6 and $7 … are the tokens and the sealed values
 */
function vaultStatement(declaration: TableDeclaration, domains: readonly string[]): string {
  const values = domains.map(
    (domain, i) => `SELECT unnest($${2 * i + 4}::text[]), '${domain}', unnest($${2 * i + 5}::bytea[])`,
  );
  return `
    WITH added AS (
      INSERT INTO ${vaultTable(declaration)} (token, domain, key_id, sealed)
      SELECT token, domain, $1::uuid, sealed FROM (${values.join(' UNION ALL ')}) AS value (token, domain, sealed)
      ORDER BY token COLLATE "C"
      ON CONFLICT DO NOTHING
      RETURNING 1)
    INSERT INTO ${vaultKeysTable(declaration)} (id, recipient, sealed_key, made)
    SELECT $1::uuid, $2, $3::bytea, current_date WHERE EXISTS (SELECT FROM added)`;
}

/** @param tokens which of the sealed values @default all @returns what puts them there, nothing for none */
export type VaultInsert = (sealed: SealedValues | undefined, tokens?: ReadonlySet<string>) => Statement[];

export function vaultInsert(declaration: TableDeclaration): VaultInsert {
  const columns = declaration.columns.filter(isMasked).filter(isSealed);
  const domains = [...new Set(columns.map(({ mask }) => mask.domain))];
  const text = vaultStatement(declaration, domains);
  return (sealed, tokens) => {
    if (sealed?.sealedKey === undefined || tokens?.size === 0) return [];
    const entries = [...sealed.values].filter(([token]) => tokens?.has(token) ?? true);
    const arrays = domains.flatMap((domain) => {
      const ofDomain = entries.filter(([, value]) => value.domain === domain);
      return [
        binaryArray(
          OID.text,
          ofDomain.map(([token]) => token),
        ),
        binaryArray(
          OID.bytea,
          ofDomain.map(([, value]) => value.sealed),
        ),
      ];
    });
    const { recipient, sealedKey } = sealed;
    return [{ text, values: [randomUUID(), recipient, Buffer.from(sealedKey), ...arrays] }];
  };
}

/** Beside the rows, in their transaction. */
export async function putIntoVault(client: ClientBase, statements: readonly Statement[]): Promise<void> {
  for (const { text, values = [] } of statements) await client.query(text, [...values]);
}

/** The tokens with a sealed value that rows have which the table took, or had: a row that was refused leaves nothing. */
export function tokensInTable(
  { sealed, events, columns }: SortedRows,
  { refused, retry }: WriteReport,
): Set<string> {
  const tokens = new Set<string>();
  if (sealed === undefined) return tokens;
  const missing = new Set([...refused.map(({ messageId }) => messageId), ...retry]);
  for (const column of columns) {
    for (const [row, value] of column.entries()) {
      if (typeof value !== 'string' || !sealed.values.has(value)) continue;
      if (!missing.has(events[row]!.messageId)) tokens.add(value);
    }
  }
  return tokens;
}
