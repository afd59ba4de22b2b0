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
import { exists } from './catalog.ts';

/** Name of the unique index that makes a second delivery of an event a duplicate. */
export function idempotencyIndex({ table }: TableDeclaration): string {
  return `${table}_event_key`;
}

/**
 * Makes what is missing of table, index and view. The catalog is asked first, because an ALTER TABLE … IF NOT EXISTS
 * locks the table for everybody even where it does nothing.
 *
 * @param run a statement that may have to wait or take long
 * @returns what was not there before: `table …`
 */
export async function bringUpTable(
  client: ClientBase,
  declaration: TableDeclaration,
  run: (statement: string) => Promise<void>,
): Promise<string[]> {
  const { table } = declaration;
  const isNew = !(await exists(client, table, 'table', ['r', 'p']));
  if (isNew) {
    await run(`CREATE TABLE ${table} (${tableColumns(declaration).map(define).join(', ')})`);
  } else {
    const missing = await missingColumns(client, declaration);
    const additions = missing.map((column) => `ADD COLUMN ${define(column)}`);
    if (missing.length > 0) await run(`ALTER TABLE ${table} ${additions.join(', ')}`);
  }
  await checkColumns(client, declaration);
  const index = idempotencyIndex(declaration);
  if (!(await exists(client, index, 'index', ['i', 'I']))) {
    // The date first: inserts touch today's part of the index, however long the history grows.
    await run(`CREATE UNIQUE INDEX ${index} ON ${table} (${DATE_COLUMN}, ${ID_COLUMN})`);
  }
  await checkIndex(client, declaration);
  await bringUpView(client, declaration, run);
  return isNew ? [`table ${table}`] : [];
}

type Column = readonly [name: string, type: string];

function tableColumns({ columns }: TableDeclaration): Column[] {
  return [
    ...columns.map((column): Column => [column.column, sqlType(column)]),
    [DATE_COLUMN, 'date'],
    [ID_COLUMN, 'uuid'],
  ];
}

function define([name, type]: Column): string {
  return `${name} ${type}`;
}

interface ExistingColumn {
  readonly name: string;
  /** In characters; null for types without a limit. */
  readonly length: number | null;
  readonly required: boolean;
}

async function existingColumns(client: ClientBase, { table }: TableDeclaration): Promise<ExistingColumn[]> {
  const { rows } = await client.query<ExistingColumn>(
    `SELECT attname AS name,
            CASE WHEN atttypid = 'varchar'::regtype AND atttypmod > 0 THEN atttypmod - 4 END AS length,
            attnotnull AND NOT atthasdef AND attidentity = '' AS required
     FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped`,
    [table],
  );
  return rows;
}

async function missingColumns(client: ClientBase, declaration: TableDeclaration): Promise<Column[]> {
  const existing = new Set((await existingColumns(client, declaration)).map(({ name }) => name));
  return tableColumns(declaration).filter(([name]) => !existing.has(name));
}

/** A table that would refuse every row must be found now, not by every message ending in the dead-letter queue. */
async function checkColumns(client: ClientBase, declaration: TableDeclaration): Promise<void> {
  const { table } = declaration;
  const existing = await existingColumns(client, declaration);
  const declared = new Set(tableColumns(declaration).map(([name]) => name));
  const surplus = existing.find(({ name, required }) => required && !declared.has(name));
  if (surplus !== undefined) {
    throw new VizardError(
      `table ${table}: column ${surplus.name} is NOT NULL without a default and no event fills it; give it a default`,
    );
  }
  for (const column of declaration.columns) {
    const needed = isMasked(column) ? MAX_TOKEN_LENGTH : column.type === 'text' ? column.maxLength : 0;
    const length = existing.find(({ name }) => name === column.column)?.length ?? needed;
    if (length < needed) {
      throw new VizardError(
        `table ${table}: column ${column.column} expected room for ${needed} characters, got varchar(${length}); widen it`,
      );
    }
  }
}

/** An index of this name that is not this one would let rows double. */
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

async function bringUpView(
  client: ClientBase,
  declaration: TableDeclaration,
  run: (statement: string) => Promise<void>,
): Promise<void> {
  const { view } = declaration.repeats;
  const query = repeatsQuery(declaration);
  if (!(await exists(client, view, 'view', ['v']))) await run(`CREATE VIEW ${view} AS ${query}`);
  else if (await differs(client, view, query)) await run(`CREATE OR REPLACE VIEW ${view} AS ${query}`);
}

/** Only the server knows how it writes a query down, so it is made into a view of its own for a moment. */
async function differs(client: ClientBase, view: string, query: string): Promise<boolean> {
  const wanted = `${view}_wanted`;
  await client.query(`SAVEPOINT wanted; CREATE VIEW ${wanted} AS ${query}`);
  const { rows } = await client.query<{ differs: boolean }>(
    'SELECT pg_get_viewdef($1::regclass) <> pg_get_viewdef($2::regclass) AS differs',
    [view, wanted],
  );
  await client.query('ROLLBACK TO SAVEPOINT wanted; RELEASE SAVEPOINT wanted');
  return rows[0]!.differs;
}

/** Values of one domain join, so they are counted together whichever column they stand in. */
function repeatsQuery({ table, columns, repeats }: TableDeclaration): string {
  const occurrences = columns
    .filter(isMasked)
    .map(
      ({ column, mask }) =>
        `SELECT '${mask.domain}' AS kind, ${column} AS masked_value, ${repeats.subject} AS subject, ${DATE_COLUMN} FROM ${table}`,
    );
  return `
    SELECT kind, masked_value, count(*) AS ${repeats.count}, count(DISTINCT subject) AS ${repeats.subjects},
           min(${DATE_COLUMN}) AS first_date, max(${DATE_COLUMN}) AS last_date
    FROM (${occurrences.join(' UNION ALL ')}) AS occurrence
    WHERE masked_value IS NOT NULL
    GROUP BY kind, masked_value
    HAVING count(*) > 1`;
}
