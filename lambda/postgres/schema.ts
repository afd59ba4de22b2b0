import type { ClientBase } from 'pg';
import type { TableDeclaration } from '../events/declaration.ts';
import { bringUpKeysTable } from './keys-table.ts';
import type { Day } from './partition-days.ts';
import { bringUpPartitioning } from './partitioned-table.ts';
import { bringUpView } from './repeats-view.ts';
import { bringUpRoles, type RoleNames } from './roles.ts';
import { changeSchema, type SchemaChangeOptions } from './schema-change.ts';
import { bringUpTable } from './table.ts';

export interface MigrationOptions extends SchemaChangeOptions {
  /** Brought up as well where they are given. */
  readonly roles?: RoleNames | undefined;
  /**
   * Has the table partitioned by date: from the start, or by taking over the rows that a plain one holds today.
   *
   * @default - a new table is a plain one, and one that is there stays as it is
   */
  readonly partitions?: { readonly today: Day } | undefined;
  /** Told where the view of repeats is one that somebody changed, and so is left as it is. */
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
  declaration: TableDeclaration,
  { roles, partitions, onOtherView, ...options }: MigrationOptions = {},
): Promise<string[]> {
  let isOurView = true;
  const created = await changeSchema(client, declaration, options, async (run, schema) => {
    const created = await bringUpTable(client, declaration, run, { partitioned: partitions !== undefined });
    if (partitions !== undefined) {
      created.push(...(await bringUpPartitioning(client, declaration, partitions.today, run)));
    }
    isOurView = await bringUpView(client, declaration, run);
    await bringUpKeysTable(client, declaration, run);
    if (roles === undefined) return created;
    const newRoles = await bringUpRoles(client, declaration, roles, schema);
    return [...created, ...newRoles.map((role) => `role ${role}`)];
  });
  if (!isOurView) onOtherView?.(declaration.repeats.view);
  return created;
}
