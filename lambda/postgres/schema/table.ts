import type { ClientBase } from 'pg';
import { VizardError } from '../../errors.ts';
import {
  DATE_COLUMN,
  ID_COLUMN,
  isMasked,
  MAX_TOKEN_LENGTH,
  sqlType,
  type TableDeclaration,
} from '../../events/declaration.ts';
import { exists } from './catalog.ts';
import type { Run } from './change.ts';

/** Name of the unique index that makes a second delivery of an event a duplicate. */
export function idempotencyIndex({ table }: Pick<TableDeclaration, 'table'>): string {
  return `${table}_event_key`;
}

/** A partition holds whole days. */
export const PARTITIONED = `PARTITION BY RANGE (${DATE_COLUMN})`;

/**
 * Makes what is missing of table and index. The catalog is asked first, because an ALTER TABLE … IF NOT EXISTS
 * locks the table for everybody even where it does nothing.
 *
 * @param partitioned how a new table is made
 * @returns what was not there before: `table …`
 */
export async function bringUpTable(
  client: ClientBase,
  declaration: TableDeclaration,
  run: Run,
  { partitioned }: { readonly partitioned: boolean },
): Promise<string[]> {
  const { table } = declaration;
  const isNew = !(await exists(client, table, 'table', ['r', 'p']));
  if (isNew) {
    const columns = tableColumns(declaration).map(define).join(', ');
    await run(`CREATE TABLE ${table} (${columns})${partitioned ? ` ${PARTITIONED}` : ''}`);
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
  /** Of a domain the type below it. */
  readonly type: string;
  readonly isText: boolean;
  /** In characters; null for types without a limit. */
  readonly length: number | null;
  readonly required: boolean;
}

async function existingColumns(client: ClientBase, { table }: TableDeclaration): Promise<ExistingColumn[]> {
  const { rows } = await client.query<ExistingColumn>(
    `SELECT attname AS name, format_type(base.oid, NULL) AS type, base.typcategory = 'S' AS "isText",
            CASE WHEN atttypid = 'varchar'::regtype AND atttypmod > 0 THEN atttypmod - 4 END AS length,
            attnotnull AND NOT atthasdef AND attidentity = '' AS required
     FROM pg_attribute
     JOIN pg_type own ON own.oid = atttypid
     JOIN pg_type base ON base.oid = coalesce(nullif(own.typbasetype, 0), own.oid)
     WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped`,
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
  for (const [name, expected] of tableColumns(declaration)) {
    const { type, isText } = existing.find((column) => column.name === name)!;
    // In binary format COPY turns nothing into another type; but all kinds of text are one.
    if (expected.startsWith('varchar') ? !isText : type !== expected) {
      throw new VizardError(
        `table ${table}: column ${name} expected the type ${expected}, got ${type}; change it with ALTER TABLE`,
      );
    }
  }
  for (const column of declaration.columns) {
    const needed = lengthOf(column);
    const length = existing.find(({ name }) => name === column.column)?.length ?? needed;
    if (length < needed) {
      throw new VizardError(
        `table ${table}: column ${column.column} expected room for ${needed} characters, got varchar(${length}); widen it`,
      );
    }
  }
}

/** Characters that a column has to have room for; 0 for one that is no text. */
function lengthOf(column: TableDeclaration['columns'][number]): number {
  if (isMasked(column)) return MAX_TOKEN_LENGTH;
  return column.type === 'text' && column.mask === undefined ? column.maxLength : 0;
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
