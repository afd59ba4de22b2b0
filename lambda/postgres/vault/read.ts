import type { ClientBase } from 'pg';
import type { TableDeclaration } from '../../events/declaration.ts';
import { aliasesTable } from '../rekey/tables.ts';
import { isThere } from '../schema/catalog.ts';
import { vaultKeysTable, vaultTable } from './tables.ts';

/** A value of the vault, with the content key that opens it. */
export interface VaultRow {
  readonly token: string;
  readonly sealed: Uint8Array;
  readonly keyId: string;
  /** Fingerprint of the key that the content key is sealed to; null where the content key is not there. */
  readonly recipient: string | null;
  readonly sealedKey: Uint8Array | null;
}

/** Whether values were sealed here, ever. */
export function hasVault(client: ClientBase, declaration: TableDeclaration): Promise<boolean> {
  return isThere(client, vaultTable(declaration));
}

/** What the vault has under some tokens. */
export async function findSealed(
  client: ClientBase,
  declaration: TableDeclaration,
  tokens: readonly string[],
): Promise<VaultRow[]> {
  const { rows } = await client.query<VaultRow>(
    `SELECT token, sealed, key_id AS "keyId", recipient, sealed_key AS "sealedKey"
     FROM ${vaultTable(declaration)} LEFT JOIN ${vaultKeysTable(declaration)} AS key ON key.id = key_id
     WHERE token = ANY ($1::text[])`,
    [tokens],
  );
  return rows;
}

/** Tokens of the same value, as the table of aliases has them while a rekey is under way. */
export interface Alias {
  readonly token: string;
  readonly current: string;
}

/** The aliases in which some tokens stand, on either side; none where there is no such table. */
export async function findAliases(
  client: ClientBase,
  declaration: TableDeclaration,
  tokens: readonly string[],
): Promise<Alias[]> {
  const aliases = aliasesTable(declaration);
  if (!(await isThere(client, aliases))) return [];
  const { rows } = await client.query<Alias>(
    `SELECT token, current FROM ${aliases} WHERE token = ANY ($1::text[]) OR current = ANY ($1::text[])`,
    [tokens],
  );
  return rows;
}
