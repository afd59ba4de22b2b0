import type { ClientBase } from 'pg';
import type { TableDeclaration } from '../../events/declaration.ts';
import type { Run } from '../schema/change.ts';
import { bringUpExactTable } from '../schema/exact-table.ts';

/** Name of the table of proofs: a row for each key that the events' table was written with. */
export function keysTable({ table }: TableDeclaration): string {
  return `${table}_keys`;
}

/**
 * Makes the table of proofs where there is none.
 *
 * @throws VizardError where something else is in its place
 */
export async function bringUpKeysTable(
  client: ClientBase,
  declaration: TableDeclaration,
  run: Run,
): Promise<void> {
  await bringUpExactTable(client, run, {
    table: keysTable(declaration),
    columns: ['kid text', 'proof text'],
    // Without it two environments could claim one name for two keys.
    primaryKey: 'kid',
  });
}
