import { randomUUID } from 'node:crypto';
import type { ClientBase } from 'pg';
import type { TableDeclaration } from '../../events/declaration.ts';
import type { SealedValues } from '../../masking/sealer.ts';
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
 */
function vaultStatement(declaration: TableDeclaration): string {
  return `
    WITH added AS (
      INSERT INTO ${vaultTable(declaration)} (token, domain, key_id, sealed)
      SELECT value.token, value.domain, $4::uuid, value.sealed
      FROM (SELECT unnest($1::text[]) AS token, unnest($2::text[]) AS domain, unnest($3::bytea[]) AS sealed) AS value
      ORDER BY value.token COLLATE "C"
      ON CONFLICT DO NOTHING
      RETURNING 1)
    INSERT INTO ${vaultKeysTable(declaration)} (id, recipient, sealed_key, made)
    SELECT $4::uuid, $5, $6::bytea, current_date WHERE EXISTS (SELECT FROM added)`;
}

/** @param tokens which of the sealed values @default all @returns what puts them there, nothing for none */
export type VaultInsert = (sealed: SealedValues | undefined, tokens?: ReadonlySet<string>) => Statement[];

export function vaultInsert(declaration: TableDeclaration): VaultInsert {
  const text = vaultStatement(declaration);
  return (sealed, tokens) => {
    if (sealed?.sealedKey === undefined || tokens?.size === 0) return [];
    const entries = [...sealed.values].filter(([token]) => tokens?.has(token) ?? true);
    const values = [
      binaryArray(
        OID.text,
        entries.map(([token]) => token),
      ),
      binaryArray(
        OID.text,
        entries.map(([, { domain }]) => domain),
      ),
      binaryArray(
        OID.bytea,
        entries.map(([, { sealed: bytes }]) => bytes),
      ),
      randomUUID(),
      sealed.recipient,
      Buffer.from(sealed.sealedKey),
    ];
    return [{ text, values }];
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
