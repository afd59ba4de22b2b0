import type { ClientBase } from 'pg';
import { isMasked, type TableDeclaration } from '../../events/declaration.ts';
import { vaultTable } from '../vault-tables.ts';
import { aliasesTable, rekeysTable } from './tables.ts';

/** Where a rekey is: the next block of a relation. */
export interface Position {
  readonly relation: string;
  readonly block: number;
}

/** What one statement did. */
export interface BatchResult {
  /** Rows whose tokens are under the new key now. */
  readonly rewritten: number;
  /** Rows that still have a token of the old key, because it has no alias. */
  readonly left: number;
}

/** A token of a key, whatever its scheme. */
export function isOf(kid: string, token: string): string {
  return `(starts_with(${token}, 's1~${kid}~') OR starts_with(${token}, 'h1~${kid}~'))`;
}

/** A row with a token of a key. */
export function hasTokenOf(kid: string, { columns }: TableDeclaration): string {
  return `(${columns
    .filter(isMasked)
    .map(({ column }) => isOf(kid, column))
    .join(' OR ')})`;
}

/**
 * Rewrites the tokens of some rows that have an alias, and notes where that ended, in one statement, which is a transaction:
 * after a crash either both have happened or neither. A row that somebody changes meanwhile is looked at again as it is then.
 *
 * @param where condition on the table
 */
export async function rewriteRows(
  client: ClientBase,
  declaration: TableDeclaration,
  { id, from }: { readonly id: number; readonly from: string },
  where: string,
  next: Position,
): Promise<BatchResult> {
  const { table } = declaration;
  const masked = declaration.columns.filter(isMasked).map(({ column }) => column);
  // A scalar, because for EXISTS the planner would rather read all aliases.
  const alias = (column: string) =>
    `(SELECT current FROM ${aliasesTable(declaration)} AS alias WHERE alias.token = ${table}.${column})`;
  const change = (column: string) =>
    `${column} = CASE WHEN ${isOf(from, column)} THEN coalesce(${alias(column)}, ${column}) ELSE ${column} END`;
  const { rows } = await client.query<BatchResult>(
    `WITH rewritten AS (
       UPDATE ${table} SET ${masked.map(change).join(', ')}
       WHERE ${where}
         AND (${masked.map((column) => `${isOf(from, column)} AND ${alias(column)} IS NOT NULL`).join(' OR ')})
       RETURNING ${hasTokenOf(from, declaration)} AS partly
     ), counted AS (
       SELECT count(*) FILTER (WHERE NOT partly)::int AS rewritten,
              (SELECT count(*)::int FROM ${table} WHERE ${where} AND ${hasTokenOf(from, declaration)})
                - count(*) FILTER (WHERE NOT partly)::int AS left
       FROM rewritten
     )
     ${noting(declaration, id, next)}`,
  );
  return rows[0]!;
}

/**
 * As rewriteRows, for the vault of sealed values. Where the new token is there already, sealed by a function that met the
 * value again, the old row goes.
 */
export async function rewriteVault(
  client: ClientBase,
  declaration: TableDeclaration,
  { id, from }: { readonly id: number; readonly from: string },
  where: string,
  next: Position,
): Promise<BatchResult> {
  const vault = vaultTable(declaration);
  const old = `alias.token = ${vault}.token AND ${isOf(from, `${vault}.token`)} AND ${where}`;
  const isThere = `EXISTS (SELECT FROM ${vault} AS other WHERE other.token = alias.current)`;
  const aliases = `${aliasesTable(declaration)} AS alias`;
  const { rows } = await client.query<BatchResult>(
    `WITH moved AS (UPDATE ${vault} SET token = alias.current FROM ${aliases} WHERE ${old} AND NOT ${isThere} RETURNING 1),
          surplus AS (DELETE FROM ${vault} USING ${aliases} WHERE ${old} AND ${isThere} RETURNING 1),
          counted AS (
            SELECT ((SELECT count(*) FROM moved) + (SELECT count(*) FROM surplus))::int AS rewritten,
                   (SELECT count(*)::int FROM ${vault} WHERE ${where} AND ${isOf(from, `${vault}.token`)})
                     - ((SELECT count(*) FROM moved) + (SELECT count(*) FROM surplus))::int AS left)
     ${noting(declaration, id, next)}`,
  );
  return rows[0]!;
}

/** Of a statement with `counted`: its end, which moves the rekey on. */
function noting(declaration: TableDeclaration, id: number, { relation, block }: Position): string {
  return `UPDATE ${rekeysTable(declaration)} AS rekey
     SET relation = '${relation.replaceAll("'", "''")}', block = ${block}, rewritten = rekey.rewritten + counted.rewritten
     FROM counted WHERE id = ${id} RETURNING counted.rewritten, counted.left`;
}
