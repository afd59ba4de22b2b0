import type { ClientBase } from 'pg';
import { VizardError } from '../../errors.ts';
import type { TableDeclaration } from '../../events/declaration.ts';
import { exists } from '../schema/catalog.ts';
import type { Run } from '../schema/change.ts';
import { bringUpExactTable } from '../schema/exact-table.ts';

type Named = Pick<TableDeclaration, 'table'>;

/** Name of the table that says by which token the value of an old one is known now. */
export function aliasesTable({ table }: Named): string {
  return `${table}_aliases`;
}

/** Name of the table of rekeys: a row for each, where it is, and in the end what it has shown. */
export function rekeysTable({ table }: Named): string {
  return `${table}_rekeys`;
}

/** Name of the table of a rekey's censuses: how many rows each token had before, and has after. */
export function groupsTable({ table }: Named): string {
  return `${table}_rekey_groups`;
}

/**
 * Makes the tables of a rekey where there are none. Both views need the aliases, so these come before them.
 *
 * @throws VizardError where something else is in the place of one
 */
export async function bringUpRekeyTables(
  client: ClientBase,
  declaration: TableDeclaration,
  run: Run,
): Promise<void> {
  await bringUpExactTable(client, run, {
    table: aliasesTable(declaration),
    // As long as it is empty, the planner takes varchar(256) for five hundred bytes a row, and plans for them.
    columns: ['token text', 'current text'],
    primaryKey: 'token',
  });
  await bringUpExactTable(client, run, {
    table: rekeysTable(declaration),
    columns: [
      'id bigint',
      'from_key text',
      'to_key text',
      'started timestamp with time zone',
      'phase text',
      'relation text',
      'block bigint',
      'rewritten bigint',
      'resealed bigint',
      'ended timestamp with time zone',
      'proof jsonb',
    ],
    primaryKey: 'id',
  });
  const groups = groupsTable(declaration);
  if (await exists(client, groups, 'table', ['r'])) return;
  // Without an index: it is filled once, and read as a whole.
  await run(
    `CREATE TABLE ${groups} (moment text NOT NULL, kind text NOT NULL, value text NOT NULL, rows bigint NOT NULL)`,
  );
}

/** @throws VizardError where the database is one of an earlier version */
export async function requireRekeyTables(client: ClientBase, declaration: TableDeclaration): Promise<void> {
  if (await exists(client, rekeysTable(declaration), 'table', ['r'])) return;
  throw new VizardError(
    `table ${rekeysTable(declaration)}: expected it in the database, got none; run the migration, which makes it: \`vizard run\`, or the deployment of the stack`,
  );
}
