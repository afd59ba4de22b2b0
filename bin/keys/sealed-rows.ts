import type { MaskedColumn, TableDeclaration } from '../../lambda/events/declaration.ts';
import type { Keyset } from '../../lambda/masking/keyset.ts';
import { layersBetween, retokener } from '../../lambda/masking/retoken.ts';
import { parseToken } from '../../lambda/masking/tokens.ts';
import type { DatabaseClient } from '../../lambda/postgres/connection.ts';
import { findAliases, findSealed, type VaultRow } from '../../lambda/postgres/vault/read.ts';

/** Two tokens of one value. */
type Pair = readonly [token: string, other: string];

/**
 * The rows of the vault that have the values of tokens: under the token itself; else, as a rekey leaves nothing under the
 * old one and comes to the vault at some time, under its layered token, or under one that aliases name.
 */
export async function findSealedRows(
  client: DatabaseClient,
  declaration: TableDeclaration,
  keyset: Keyset,
  columns: readonly MaskedColumn[],
  tokens: readonly string[],
): Promise<Map<string, VaultRow>> {
  const found = await findSealed(client, declaration, tokens);
  const rows = new Map(found.map((row) => [row.token, row]));
  const missing = [...new Set(tokens)].filter((token) => !rows.has(token));
  const aliases = await findAliases(client, declaration, missing);
  const others = [
    ...aliases.flatMap(({ token, current }): Pair[] => [
      [token, current],
      [current, token],
    ]),
    ...columns.flatMap((column) => layered(keyset, column, missing)),
  ];
  const wanted = new Set(missing);
  const sought = others.filter(([token]) => wanted.has(token));
  const further = await findSealed(client, declaration, [...new Set(sought.map(([, other]) => other))]);
  const byOther = new Map(further.map((row) => [row.token, row]));
  for (const [token, other] of sought) {
    const row = byOther.get(other);
    if (row !== undefined) rows.set(token, row);
  }
  return rows;
}

/** The tokens that others get under keys which are layered over theirs. */
function layered(keyset: Keyset, column: MaskedColumn, tokens: readonly string[]): Pair[] {
  const pairs: Pair[] = [];
  for (const from of keyset.kids) {
    const ofKey = tokens.filter((token) => parseToken(token)?.kid === from);
    if (ofKey.length === 0) continue;
    for (const to of keyset.kids) {
      if (to === from || layersBetween(keyset, { from, to }) === undefined) continue;
      const others = retokener(keyset, column, { from, to })(ofKey);
      for (const [i, other] of others.entries()) if (other !== undefined) pairs.push([ofKey[i]!, other]);
    }
  }
  return pairs;
}
