import type { ClientBase } from 'pg';
import { VizardError } from '../../errors.ts';
import { DATE_COLUMN, type TableDeclaration } from '../../events/declaration.ts';
import type { Day, Partition } from './days.ts';

/**
 * Whether a table is there and is partitioned by date.
 *
 * @throws VizardError where it is partitioned by something else
 */
export async function isPartitioned(client: ClientBase, declaration: TableDeclaration): Promise<boolean> {
  const key = await partitionKey(client, declaration);
  if (key === undefined || key === BY_DATE) return key !== undefined;
  throw new VizardError(
    `table ${declaration.table}: expected to be partitioned by ${BY_DATE}, got another key; make it anew, or do without retentionDays`,
  );
}

/**
 * For those who will not make tomorrow's partition.
 *
 * @throws VizardError where a table is there and is partitioned by date
 */
export async function requirePlainTable(client: ClientBase, declaration: TableDeclaration): Promise<void> {
  if ((await partitionKey(client, declaration)) !== BY_DATE) return;
  throw new VizardError(
    `table ${declaration.table}: expected a plain table without retentionDays, got a partitioned one, whose partitions nobody would make; deploy with -c retentionDays=…`,
  );
}

const BY_DATE = `RANGE (${DATE_COLUMN})`;

/**
 * Without the quotes that quote_all_identifiers puts around names.
 *
 * @returns undefined for a plain table, or where there is none
 */
async function partitionKey(client: ClientBase, { table }: TableDeclaration): Promise<string | undefined> {
  const { rows } = await client.query<{ key: string | null }>(
    `SELECT replace(pg_get_partkeydef(oid), '"', '') AS key FROM pg_class WHERE oid = to_regclass($1)`,
    [table],
  );
  return rows[0]?.key ?? undefined;
}

/**
 * All but the default one. What was made by hand counts like our own.
 *
 * @throws VizardError where the table is not partitioned by date
 */
export async function readPartitions(
  client: ClientBase,
  declaration: TableDeclaration,
): Promise<Partition[]> {
  const { table } = declaration;
  if (!(await isPartitioned(client, declaration))) {
    throw new VizardError(
      `table ${table}: expected to be partitioned by date, got a plain one or none; run the migration with retentionDays`,
    );
  }
  const { rows } = await client.query<{ name: string; from: Day | null; to: Day | null }>(
    `SELECT name, lower - DATE '1970-01-01' AS "from", upper - DATE '1970-01-01' AS "to"
     FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid,
          LATERAL regexp_match(pg_get_expr(relpartbound, c.oid), '^FOR VALUES FROM \\((.+)\\) TO \\((.+)\\)$') AS bound,
          LATERAL (SELECT c.oid::regclass::text, nullif(trim('''' FROM bound[1]), 'MINVALUE')::date,
                          nullif(trim('''' FROM bound[2]), 'MAXVALUE')::date) AS partition (name, lower, upper)
     WHERE inhparent = $1::regclass AND bound IS NOT NULL`,
    [table],
  );
  return rows.map(({ name, from, to }) => ({ name, from: from ?? -Infinity, to: to ?? Infinity }));
}
