import type { ClientBase } from 'pg';
import { DATE_COLUMN, ID_COLUMN, type TableDeclaration } from '../../events/declaration.ts';
import type { Run } from '../schema/change.ts';
import { idempotencyIndex } from '../schema/table.ts';
import { belongOnlyToOwnerOf } from '../schema/table-rights.ts';
import { type Day, isoDate } from './days.ts';

/** Name of the partition that takes rows of days which have none: long ago, or far ahead. */
export function defaultPartition({ table }: TableDeclaration): string {
  return `${table}_default`;
}

/** Name of the partition that is a plain table's former self. */
export function historyPartition({ table }: TableDeclaration): string {
  return `${table}_history`;
}

/** Name of a day's partition: `<table>_20261122`. */
export function partitionName({ table }: TableDeclaration, day: Day): string {
  return `${table}_${isoDate(day).replaceAll('-', '')}`;
}

/** Name of a partition's part of the idempotency index, by which a violation of it is told from others. */
export function partitionIndex(partition: string): string {
  return idempotencyIndex({ table: partition });
}

/** The bounds of one day. */
export function dayRange(day: Day): string {
  return `FOR VALUES FROM ('${isoDate(day)}') TO ('${isoDate(day + 1)}')`;
}

/**
 * Makes a table like the partitioned one and attaches it. CREATE TABLE … PARTITION OF would keep everybody waiting, and
 * would name the index itself. Nobody but the owner of the table has a right on it.
 *
 * @param fill puts rows in before there is an index, and says how many
 */
export async function attachPartition(
  declaration: TableDeclaration,
  partition: string,
  bounds: string,
  run: Run,
  fill: () => Promise<number> = () => Promise.resolve(0),
): Promise<number> {
  const { table } = declaration;
  await run(`CREATE TABLE ${partition} (LIKE ${table} INCLUDING ALL EXCLUDING INDEXES EXCLUDING IDENTITY)`);
  await belongOnlyToOwnerOf(run, partition, table);
  const rows = await fill();
  const index = partitionIndex(partition);
  await run(`CREATE UNIQUE INDEX ${index} ON ${partition} (${DATE_COLUMN}, ${ID_COLUMN})`);
  await run(`ALTER TABLE ${table} ATTACH PARTITION ${partition} ${bounds}`);
  return rows;
}

/** Moves rows from one table to another that has the same columns. @returns how many */
export async function moveRows(
  client: ClientBase,
  { from, to, where }: { readonly from: string; readonly to: string; readonly where: string },
  run: Run,
): Promise<number> {
  const { rows } = await client.query<{ columns: string }>(
    `SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) AS columns FROM pg_attribute
     WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''`,
    [from],
  );
  const { columns } = rows[0]!;
  const { rowCount } = await run(
    `WITH moved AS (DELETE FROM ${from} WHERE ${where} RETURNING ${columns})
     INSERT INTO ${to} (${columns}) SELECT ${columns} FROM moved`,
  );
  return rowCount ?? 0;
}
