import type { ClientBase } from 'pg';
import { isMasked, type TableDeclaration } from '../../events/declaration.ts';
import type { Rotation } from '../../masking/retoken.ts';
import { vaultTable } from '../vault/tables.ts';
import { aliasesTable, rekeysTable } from './tables.ts';

/** A rekey that is under way. */
export interface RekeyUnderWay extends Rotation {
  readonly id: number;
}

/** Where a rekey is: the next block of a relation. */
export interface Position {
  readonly relation: string;
  readonly block: number;
}

/** What one statement did. */
export interface BatchResult {
  /** Rows, or sealed values, whose tokens are under the new key now. */
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
  { id, from, to }: RekeyUnderWay,
  where: string,
  next: Position,
): Promise<BatchResult> {
  const { table } = declaration;
  const masked = declaration.columns.filter(isMasked).map(({ column }) => column);
  // A scalar, because for EXISTS the planner would rather read all aliases.
  const alias = (column: string) =>
    `(SELECT current FROM ${aliasesTable(declaration)} AS alias
      WHERE alias.token = ${table}.${column} COLLATE "default" AND ${isOf(to, 'current')})`;
  const change = (column: string) =>
    `${column} = CASE WHEN ${isOf(from, column)} THEN coalesce(${alias(column)}, ${column}) ELSE ${column} END`;
  const { rows } = await client.query<BatchResult>(
    `WITH rewritten AS (
       UPDATE ${table} SET ${masked.map(change).join(', ')}
       WHERE ${where}
         AND (${masked.map((column) => `${isOf(from, column)} AND ${alias(column)} IS NOT NULL`).join(' OR ')})
       RETURNING ${hasTokenOf(from, declaration)} AS partly
     ), counted AS (
       SELECT count(*) FILTER (WHERE partly IS NOT TRUE)::int AS rewritten,
              (SELECT count(*)::int FROM ${table} WHERE ${where} AND ${hasTokenOf(from, declaration)})
                - count(*) FILTER (WHERE partly IS NOT TRUE)::int AS left
       FROM rewritten
     )
     ${noting(declaration, id, next, 'rewritten')}`,
  );
  return rows[0]!;
}

/**
 * As rewriteRows, for the vault of sealed values. Where the new token is there already, the older sealing stays: what came
 * later may be from somebody who had taken over a function.
 */
export async function rewriteVault(
  client: ClientBase,
  declaration: TableDeclaration,
  { id, from, to }: RekeyUnderWay,
  where: string,
  next: Position,
): Promise<BatchResult> {
  const vault = vaultTable(declaration);
  const aliases = `${aliasesTable(declaration)} AS alias`;
  const old = `alias.token = ${vault}.token AND ${isOf(from, `${vault}.token`)} AND ${isOf(to, 'alias.current')} AND ${where}`;
  const { rows } = await client.query<BatchResult>(
    `WITH kept AS (
       UPDATE ${vault} AS newer SET key_id = ${vault}.key_id, sealed = ${vault}.sealed FROM ${vault}, ${aliases}
       WHERE ${old} AND newer.token = alias.current RETURNING alias.token
     ), surplus AS (
       DELETE FROM ${vault} USING kept WHERE ${vault}.token = kept.token RETURNING 1
     ), moved AS (
       UPDATE ${vault} SET token = alias.current FROM ${aliases}
       WHERE ${old} AND NOT EXISTS (SELECT FROM ${vault} AS newer WHERE newer.token = alias.current) RETURNING 1
     ), counted AS (
       SELECT ((SELECT count(*) FROM moved) + (SELECT count(*) FROM surplus))::int AS rewritten,
              (SELECT count(*)::int FROM ${vault} WHERE ${where} AND ${isOf(from, `${vault}.token`)})
                - ((SELECT count(*) FROM moved) + (SELECT count(*) FROM surplus))::int AS left
     )
     ${noting(declaration, id, next, 'resealed')}`,
  );
  return rows[0]!;
}

/** Of a statement with `counted`: its end, which moves the rekey on. */
function noting(
  declaration: TableDeclaration,
  id: number,
  { relation, block }: Position,
  total: 'rewritten' | 'resealed',
): string {
  return `UPDATE ${rekeysTable(declaration)} AS rekey
     SET relation = '${relation.replaceAll("'", "''")}', block = ${block}, ${total} = rekey.${total} + counted.rewritten
     FROM counted WHERE id = ${id} RETURNING counted.rewritten, counted.left`;
}
