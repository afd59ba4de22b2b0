import type { ClientBase } from 'pg';
import {
  columnNames,
  DATE_COLUMN,
  ID_COLUMN,
  sqlType,
  type TableDeclaration,
} from '../../events/declaration.ts';
import type { SortedRows, SqlValues } from './rows.ts';

/**
 * The idempotent INSERT: rows that are there already stay as they are. One array parameter a column.
 *
 * Parameters are cast to text[], and text to the column's type: a cast to varchar(n)[] would cut values off in
 * silence, while the assignment to a varchar(n) column refuses them (22001).
 */
export function insertStatement(declaration: TableDeclaration): string {
  const names = columnNames(declaration);
  const casts = [...declaration.columns.map(sqlType), 'date', 'uuid'];
  const values = names.map((name, i) => (casts[i]!.startsWith('varchar') ? name : `${name}::${casts[i]}`));
  return `
    INSERT INTO ${declaration.table} (${names.join(', ')})
    SELECT ${values.join(', ')}
    FROM unnest(${names.map((_, i) => `$${i + 1}::text[]`).join(', ')}) AS event (${names.join(', ')})
    ORDER BY event.${ID_COLUMN}, event.${DATE_COLUMN}
    ON CONFLICT (${DATE_COLUMN}, ${ID_COLUMN}) DO NOTHING`;
}

/** @returns how many rows were not there yet */
export async function insertRows(client: ClientBase, statement: string, rows: SortedRows): Promise<number> {
  const dates = rows.events.map(({ date }) => date);
  const ids = rows.events.map(({ eventId }) => eventId);
  const { rowCount } = await client.query(statement, [...rows.columns, dates, ids].map(arrayLiteral));
  return rowCount ?? 0;
}

/** A text[] literal (https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO), faster than pg's own. */
function arrayLiteral(values: SqlValues): string {
  return `{${values.map((value) => (value === null ? 'NULL' : `"${escapeElement(value)}"`)).join(',')}}`;
}

function escapeElement(value: string | number): string | number {
  return typeof value === 'string' && /["\\]/.test(value) ? value.replace(/["\\]/g, '\\$&') : value;
}
