import type { ClientBase } from 'pg';
import type { TableDeclaration } from '../../events/declaration.ts';
import { loginEvents } from '../../events/login-event.ts';

/**
 * The declaration with those further columns that the table has, in whatever configuration it got them. Where there is no
 * table, it is as given.
 */
export async function findDeclaration(
  client: ClientBase,
  declaration: TableDeclaration = loginEvents,
): Promise<TableDeclaration> {
  const { table, columns, further = [] } = declaration;
  const { rows } = await client.query<{ name: string }>(
    `SELECT attname AS name FROM pg_attribute
     WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped`,
    [table],
  );
  const there = new Set(rows.map(({ name }) => name));
  const declared = new Set(columns.map(({ column }) => column));
  const found = further.filter(({ column }) => there.has(column) && !declared.has(column));
  return found.length === 0 ? declaration : { ...declaration, columns: [...columns, ...found] };
}
