import type { ClientBase } from 'pg';
import { VizardError } from '../errors.ts';
import type { TableDeclaration } from '../events/declaration.ts';
import { exists } from './catalog.ts';
import type { Run } from './schema-change.ts';

/** Name of the table of proofs: a row for each key that the events' table was written with. */
export function keysTable({ table }: TableDeclaration): string {
  return `${table}_keys`;
}

const COLUMNS = ['kid text', 'proof text'];
const PRIMARY_KEY = 'PRIMARY KEY (kid)';

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
  const table = keysTable(declaration);
  if (!(await exists(client, table, 'table', ['r']))) {
    await run(`CREATE TABLE ${table} (${COLUMNS.join(' NOT NULL, ')} NOT NULL, ${PRIMARY_KEY})`);
  }
  await checkDefinition(client, table);
}

/** Without its primary key two environments could claim one name for two keys. */
async function checkDefinition(client: ClientBase, table: string): Promise<void> {
  const { rows } = await client.query<{ definition: string[] }>(
    `SELECT ARRAY(SELECT attname || ' ' || format_type(atttypid, atttypmod) FROM pg_attribute
                  WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum)
         || ARRAY(SELECT pg_get_constraintdef(oid) FROM pg_constraint
                  WHERE conrelid = $1::regclass AND contype = 'p') AS definition`,
    [table],
  );
  const expected = [...COLUMNS, PRIMARY_KEY].join(', ');
  if (rows[0]!.definition.join(', ') !== expected) {
    throw new VizardError(
      `table ${table}: expected (${expected}), got another table of that name; rename it`,
    );
  }
}
