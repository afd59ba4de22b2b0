import type { ClientBase } from 'pg';
import type { TableDeclaration } from '../../events/declaration.ts';
import { bringUpAudit } from '../audit/table.ts';
import { bringUpKeysTable } from '../keys/table.ts';
import type { Day } from '../partitions/days.ts';
import { bringUpPartitioning } from '../partitions/takeover.ts';
import { aliasesTable, bringUpRekeyTables } from '../rekey/tables.ts';
import type { RoleNames } from '../roles/permissions.ts';
import { bringUpRoles } from '../roles/roles.ts';
import { bringUpVault } from '../vault/tables.ts';
import { bringUpCurrentView, currentView } from '../views/current.ts';
import { bringUpView } from '../views/repeats.ts';
import { changeSchema, type SchemaChangeOptions } from './change.ts';
import { findDeclaration } from './find-declaration.ts';
import { bringUpTable } from './table.ts';
import { letViewsRead } from './table-rights.ts';

export interface MigrationOptions extends SchemaChangeOptions {
  /** Brought up as well where they are given. */
  readonly roles?: RoleNames | undefined;
  /**
   * Has the table partitioned by date: from the start, or by taking over the rows that a plain one holds today.
   *
   * @default - a new table is a plain one, and one that is there stays as it is
   */
  readonly partitions?: { readonly today: Day } | undefined;
  /** Makes the vault, for values that are sealed. One that is there stays. @default false */
  readonly vault?: boolean;
  /** Told of each view that somebody changed, and that is left as it is for that. */
  readonly onOtherView?: (view: string) => void;
}

/**
 * Brings table, index, view and the table of key proofs up, in one transaction. Idempotent, safe to run from several
 * places at once, and takes over a table that is there already, rows included: what is missing is added, and of what is
 * there only a view of an earlier version is changed. Where nothing is missing it waits for no reader and no writer, and
 * none waits for it.
 *
 * @returns what was not there before: `table …`, `partition …`, `role …`
 * @throws VizardError when the table that is there can't take the events
 */
export async function migrate(
  client: ClientBase,
  declared: TableDeclaration,
  { roles, partitions, vault = false, onOtherView, ...options }: MigrationOptions = {},
): Promise<string[]> {
  let others: string[] = [];
  const created = await changeSchema(client, declared, options, async (run, schema) => {
    const declaration = await findDeclaration(client, declared);
    const created = await bringUpTable(client, declaration, run, { partitioned: partitions !== undefined });
    await bringUpRekeyTables(client, declaration, run);
    if (partitions !== undefined) {
      created.push(...(await bringUpPartitioning(client, declaration, partitions.today, run)));
    }
    others = [];
    if (!(await bringUpView(client, declaration, run))) others.push(declaration.repeats.view);
    if (!(await bringUpCurrentView(client, declaration, run))) others.push(currentView(declaration));
    const views = [declaration.repeats.view, currentView(declaration)];
    await letViewsRead(run, views, aliasesTable(declaration));
    await bringUpKeysTable(client, declaration, run);
    await bringUpAudit(client, run);
    if (vault) created.push(...(await bringUpVault(client, declaration, run)));
    if (roles === undefined) return created;
    const newRoles = await bringUpRoles(client, declaration, roles, schema);
    return [...created, ...newRoles.map((role) => `role ${role}`)];
  });
  for (const view of others) onOtherView?.(view);
  return created;
}
