import type { ClientBase } from 'pg';
import { VizardError } from '../../errors.ts';
import { exists } from './catalog.ts';
import type { Run } from './change.ts';

/** A table that has to be as it is made, down to its primary key. */
export interface ExactTable {
  readonly table: string;
  /** Name and type of each, as format_type() writes it. None may be NULL. */
  readonly columns: readonly string[];
  /** Name of its one column. */
  readonly primaryKey: string;
}

/**
 * Makes the table where there is none.
 *
 * @returns whether it was not there before
 * @throws VizardError where something else is in its place
 */
export async function bringUpExactTable(
  client: ClientBase,
  run: Run,
  { table, columns, primaryKey }: ExactTable,
): Promise<boolean> {
  const isThere = await exists(client, table, 'table', ['r']);
  const constraint = `PRIMARY KEY (${primaryKey})`;
  if (!isThere) await run(`CREATE TABLE ${table} (${columns.join(' NOT NULL, ')} NOT NULL, ${constraint})`);
  const { rows } = await client.query<{ definition: string[] }>(
    `SELECT ARRAY(SELECT attname || ' ' || format_type(atttypid, atttypmod) FROM pg_attribute
                  WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum)
         || ARRAY(SELECT pg_get_constraintdef(oid) FROM pg_constraint
                  WHERE conrelid = $1::regclass AND contype = 'p') AS definition`,
    [table],
  );
  const expected = [...columns, constraint].join(', ');
  if (rows[0]!.definition.join(', ') === expected) return !isThere;
  throw new VizardError(`table ${table}: expected (${expected}), got another table of that name; rename it`);
}
