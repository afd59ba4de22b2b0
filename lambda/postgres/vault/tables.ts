import type { ClientBase } from 'pg';
import { MAX_TOKEN_LENGTH, type TableDeclaration } from '../../events/declaration.ts';
import type { Run } from '../schema/change.ts';
import { bringUpExactTable } from '../schema/exact-table.ts';

/** Name of the table of sealed values: a row for each token whose value somebody with the private key can have back. */
export function vaultTable({ table }: TableDeclaration): string {
  return `${table}_vault`;
}

/** Name of the table of content keys: a row for each batch that put something into the vault. */
export function vaultKeysTable({ table }: TableDeclaration): string {
  return `${table}_vault_keys`;
}

/**
 * Makes vault and content keys where there are none. No foreign key between them: it would be looked up for each value,
 * and a transaction writes both or neither.
 *
 * @returns what was not there before: `table …`
 * @throws VizardError where something else is in the place of one
 */
export async function bringUpVault(
  client: ClientBase,
  declaration: TableDeclaration,
  run: Run,
): Promise<string[]> {
  const tables = [
    {
      table: vaultTable(declaration),
      columns: [`token character varying(${MAX_TOKEN_LENGTH})`, 'domain text', 'key_id uuid', 'sealed bytea'],
      primaryKey: 'token',
    },
    {
      table: vaultKeysTable(declaration),
      // Of a batch no more than its day, because its values are known to have come together.
      columns: ['id uuid', 'recipient text', 'sealed_key bytea', 'made date'],
      primaryKey: 'id',
    },
  ];
  const created: string[] = [];
  for (const table of tables) {
    if (await bringUpExactTable(client, run, table)) created.push(`table ${table.table}`);
  }
  return created;
}
