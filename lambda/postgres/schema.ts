import type { ClientBase } from 'pg';
import { VizardError } from '../errors.ts';
import {
  DATE_COLUMN,
  ID_COLUMN,
  isMasked,
  MAX_TOKEN_LENGTH,
  sqlType,
  type TableDeclaration,
} from '../events/declaration.ts';
import { bringUpRoles, type RoleNames } from './roles.ts';

/** Name of the unique index that makes a second delivery of an event a duplicate. */
export function idempotencyIndex({ table }: TableDeclaration): string {
  return `${table}_event_key`;
}

/**
 * Brings table, index and view up, in one transaction. Idempotent, safe to run from several places at once, and
 * takes over a table that is there already, rows included: what is missing is added, nothing is changed.
 *
 * @param roles brought up as well where they are given
 * @returns what was not there before: `table …`, `role …`
 * @throws VizardError when the table that is there can't take the events
 */
export async function migrate(
  client: ClientBase,
  declaration: TableDeclaration,
  roles?: RoleNames,
): Promise<string[]> {
  await client.query('BEGIN');
  try {
    // CREATE TABLE IF NOT EXISTS of two sessions at once fails in one of them (23505 in pg_type), and so does GRANT on
    // one schema (XX000).
    await client.query(`SELECT pg_advisory_xact_lock(hashtext('vizard migration'))`);
    const created = (await exists(client, declaration.table)) ? [] : [`table ${declaration.table}`];
    for (const statement of schemaStatements(declaration)) await client.query(statement);
    await checkColumns(client, declaration);
    await checkIndex(client, declaration);
    const newRoles = roles === undefined ? [] : await bringUpRoles(client, declaration, roles);
    await client.query('COMMIT');
    return [...created, ...newRoles.map((role) => `role ${role}`)];
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {});
    throw error;
  }
}

async function exists(client: ClientBase, table: string): Promise<boolean> {
  const { rows } = await client.query<{ exists: boolean }>('SELECT to_regclass($1) IS NOT NULL AS exists', [
    table,
  ]);
  return rows[0]!.exists;
}

function schemaStatements(declaration: TableDeclaration): string[] {
  const { table } = declaration;
  const columns = tableColumns(declaration).map(([name, type]) => `${name} ${type}`);
  return [
    `CREATE TABLE IF NOT EXISTS ${table} (${columns.join(', ')})`,
    ...columns.map((column) => `ALTER TABLE ${table} ADD COLUMN IF NOT EXISTS ${column}`),
    // The date first: inserts touch today's part of the index, however long the history grows.
    `CREATE UNIQUE INDEX IF NOT EXISTS ${idempotencyIndex(declaration)} ON ${table} (${DATE_COLUMN}, ${ID_COLUMN})`,
    repeatsView(declaration),
  ];
}

function tableColumns({ columns }: TableDeclaration): [name: string, type: string][] {
  return [
    ...columns.map((column): [string, string] => [column.column, sqlType(column)]),
    [DATE_COLUMN, 'date'],
    [ID_COLUMN, 'uuid'],
  ];
}

/** Values of one domain join, so they are counted together whichever column they stand in. */
function repeatsView({ table, columns, repeats }: TableDeclaration): string {
  const occurrences = columns
    .filter(isMasked)
    .map(
      ({ column, mask }) =>
        `SELECT '${mask.domain}' AS kind, ${column} AS masked_value, ${repeats.subject} AS subject, ${DATE_COLUMN} FROM ${table}`,
    );
  return `
    CREATE OR REPLACE VIEW ${repeats.view} AS
    SELECT kind, masked_value, count(*) AS ${repeats.count}, count(DISTINCT subject) AS ${repeats.subjects},
           min(${DATE_COLUMN}) AS first_date, max(${DATE_COLUMN}) AS last_date
    FROM (${occurrences.join(' UNION ALL ')}) AS occurrence
    WHERE masked_value IS NOT NULL
    GROUP BY kind, masked_value
    HAVING count(*) > 1`;
}

interface ExistingColumn {
  readonly name: string;
  /** In characters; null for types without a limit. */
  readonly length: number | null;
  readonly required: boolean;
}

/** A table that would refuse every row must be found now, not by every message ending in the dead-letter queue. */
async function checkColumns(client: ClientBase, declaration: TableDeclaration): Promise<void> {
  const { table } = declaration;
  const { rows } = await client.query<ExistingColumn>(
    `SELECT attname AS name,
            CASE WHEN atttypid = 'varchar'::regtype AND atttypmod > 0 THEN atttypmod - 4 END AS length,
            attnotnull AND NOT atthasdef AND attidentity = '' AS required
     FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped`,
    [table],
  );
  const declared = new Set(tableColumns(declaration).map(([name]) => name));
  const surplus = rows.find(({ name, required }) => required && !declared.has(name));
  if (surplus !== undefined) {
    throw new VizardError(
      `table ${table}: column ${surplus.name} is NOT NULL without a default and no event fills it; give it a default`,
    );
  }
  for (const column of declaration.columns) {
    const needed = isMasked(column) ? MAX_TOKEN_LENGTH : column.type === 'text' ? column.maxLength : 0;
    const length = rows.find(({ name }) => name === column.column)?.length ?? needed;
    if (length < needed) {
      throw new VizardError(
        `table ${table}: column ${column.column} expected room for ${needed} characters, got varchar(${length}); widen it`,
      );
    }
  }
}

/** IF NOT EXISTS looks at the name only, and an index that is not this one would let rows double. */
async function checkIndex(client: ClientBase, declaration: TableDeclaration): Promise<void> {
  const index = idempotencyIndex(declaration);
  const { rows } = await client.query(
    `SELECT 1 FROM pg_index
     WHERE indexrelid = $1::regclass AND indrelid = $2::regclass AND indisunique AND indisvalid AND indpred IS NULL
       AND pg_get_indexdef(indexrelid, 1, false) = $3 AND pg_get_indexdef(indexrelid, 2, false) = $4 AND indnkeyatts = 2`,
    [index, declaration.table, DATE_COLUMN, ID_COLUMN],
  );
  if (rows.length === 0) {
    throw new VizardError(
      `index ${index}: expected a valid unique index of ${declaration.table} (${DATE_COLUMN}, ${ID_COLUMN}); drop it`,
    );
  }
}
