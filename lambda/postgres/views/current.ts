import type { ClientBase } from 'pg';
import { columnNames, isMasked, type TableDeclaration } from '../../events/declaration.ts';
import { aliasesTable } from '../rekey/tables.ts';
import type { Run } from '../schema/change.ts';
import { bringUpOwnView, columnTypes, isOwn, type OwnView } from './own-view.ts';

/** Name of the view that is the table with current tokens: whoever joins by them does so there. */
export function currentView({ table }: Pick<TableDeclaration, 'table'>): string {
  return `${table}_current`;
}

/** Makes the view of current tokens, or brings it up to this version. @returns whether it is ours */
export async function bringUpCurrentView(
  client: ClientBase,
  declaration: TableDeclaration,
  run: Run,
): Promise<boolean> {
  return bringUpOwnView(client, declaration, await viewOf(client, declaration), run);
}

/** Whether the view of current tokens is missing, or as a version of ours made it. */
export async function isCurrentViewOurs(client: ClientBase, declaration: TableDeclaration): Promise<boolean> {
  return isOwn(client, declaration, await viewOf(client, declaration));
}

/**
 * A join for each masked column, which the planner leaves out where a query doesn't ask for the column: tokens are unique
 * among the aliases.
 */
async function viewOf(client: ClientBase, declaration: TableDeclaration): Promise<OwnView> {
  const { table, columns } = declaration;
  const view = currentView(declaration);
  const masked = new Set(columns.filter(isMasked).map(({ column }) => column));
  // One that is there keeps its columns and their types, and takes further ones at its end only, where the table has them.
  const existing = await columnTypes(client, view);
  const declared = new Set(columnNames(declaration));
  const selected = [...(await columnTypes(client, table))]
    .filter(([name]) => declared.has(name) || existing.has(name))
    .map(([name, own]) => {
      const [value, type] = masked.has(name)
        ? [`coalesce(of_${name}.current, t.${name})`, 'text']
        : [`t.${name}`, own];
      const kept = existing.get(name) ?? type;
      return `${value}${kept === type ? '' : `::${kept}`} AS ${name}`;
    });
  const joins = [...masked].map(
    (name) =>
      `LEFT JOIN ${aliasesTable(declaration)} AS of_${name} ON of_${name}.token = t.${name} COLLATE "default"`,
  );
  return {
    view,
    query: `SELECT ${selected.join(', ')} FROM ${table} AS t ${joins.join(' ')}`,
  };
}
