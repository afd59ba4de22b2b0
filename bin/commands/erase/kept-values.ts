import { isMasked, type TableDeclaration } from '../../../lambda/events/declaration.ts';
import type { DatabaseClient } from '../../../lambda/postgres/connection.ts';
import { aliasesTable } from '../../../lambda/postgres/rekey/tables.ts';
import { isThere } from '../../../lambda/postgres/schema/catalog.ts';
import { findAliases } from '../../../lambda/postgres/vault/read.ts';
import { vaultTable } from '../../../lambda/postgres/vault/tables.ts';
import { conditionOf, type Sought } from '../../keys/known-person.ts';

/** How much is kept of values beside the table: their sealed values, and their aliases while keys change. */
export interface KeptValues {
  readonly sealedValues: number;
  readonly aliases: number;
}

/** How much would go with the rows that are sought. */
export function countKept(
  client: DatabaseClient,
  declaration: TableDeclaration,
  tokens: readonly string[],
  sought: Sought,
): Promise<KeptValues> {
  return withoutRows(client, 'SELECT', declaration, tokens, sought);
}

/**
 * What is kept of a value beside the table goes with its last row. A row that stays, of somebody else with the same address,
 * keeps it, under whichever of the value's tokens it stands.
 *
 * @returns how much went
 */
export function forgetKept(
  client: DatabaseClient,
  declaration: TableDeclaration,
  tokens: readonly string[],
): Promise<KeptValues> {
  return withoutRows(client, 'DELETE', declaration, tokens, []);
}

/** @param apart rows that need nothing, because they go; none where it is empty */
async function withoutRows(
  client: DatabaseClient,
  verb: 'SELECT' | 'DELETE',
  declaration: TableDeclaration,
  tokens: readonly string[],
  apart: Sought,
): Promise<KeptValues> {
  const known = await withAliases(client, declaration, tokens);
  const kept = await beside(client, 'SELECT', declaration, known);
  // The table is long, and mostly there is nothing beside it.
  if (kept.sealedValues + kept.aliases === 0) return kept;
  const standing = await tokensInTable(client, declaration, known, apart);
  const needed = new Set(await withAliases(client, declaration, standing));
  return beside(
    client,
    verb,
    declaration,
    known.filter((token) => !needed.has(token)),
  );
}

/** The tokens, and those of the same values by aliases: a cut-off rekey leaves rows under one and the vault under another. */
async function withAliases(
  client: DatabaseClient,
  declaration: TableDeclaration,
  tokens: readonly string[],
): Promise<string[]> {
  const all = new Set(tokens);
  for (let size = -1; size < all.size; ) {
    size = all.size;
    for (const { token, current } of await findAliases(client, declaration, [...all]))
      all.add(token).add(current);
  }
  return [...all];
}

/** Those of the tokens that stand in a row. */
async function tokensInTable(
  client: DatabaseClient,
  { table, columns }: TableDeclaration,
  tokens: readonly string[],
  apart: Sought,
): Promise<string[]> {
  const { condition, values } = conditionOf(apart);
  const stays = apart.length === 0 ? '' : `AND (${condition}) IS NOT TRUE`;
  const among = `ANY ($${values.length + 1}::text[])`;
  const found = columns
    .filter(isMasked)
    .map(({ column }) => `SELECT ${column} AS token FROM ${table} WHERE ${column} = ${among} ${stays}`);
  const { rows } = await client.query<{ token: string }>(found.join(' UNION '), [...values, tokens]);
  return rows.map(({ token }) => token);
}

/** Counts or deletes what is kept under tokens. */
async function beside(
  client: DatabaseClient,
  verb: 'SELECT' | 'DELETE',
  declaration: TableDeclaration,
  tokens: readonly string[],
): Promise<KeptValues> {
  const rowsOf = async (relation: string, isOfTokens: string) => {
    // There is a vault only where recovery is sealed.
    if (!(await isThere(client, relation))) return 0;
    const { rowCount } = await client.query(`${verb} FROM ${relation} WHERE ${isOfTokens}`, [tokens]);
    return rowCount ?? 0;
  };
  return {
    sealedValues: await rowsOf(vaultTable(declaration), 'token = ANY ($1::text[])'),
    aliases: await rowsOf(
      aliasesTable(declaration),
      'token = ANY ($1::text[]) OR current = ANY ($1::text[])',
    ),
  };
}
