import type { ClientBase } from 'pg';
import { isMasked, type TableDeclaration } from '../../events/declaration.ts';
import type { Keyset } from '../../masking/keyset.ts';
import { oneOfEachDomain } from '../../masking/open-tokens.ts';
import { retokener } from '../../masking/retoken.ts';
import { vaultTable } from '../vault/tables.ts';
import { isOf, type RekeyUnderWay } from './batch.ts';
import { aliasesTable, rekeysTable } from './tables.ts';

/**
 * Moves sealed values to the new key that no row of the table has any more, because retention has dropped theirs: tokens
 * that were exported can still be recovered then.
 *
 * @param where condition on the vault
 * @returns how many values were moved
 */
export async function moveOrphans(
  client: ClientBase,
  declaration: TableDeclaration,
  keyset: Keyset,
  rekey: RekeyUnderWay,
  where: string,
): Promise<number> {
  const vault = vaultTable(declaration);
  const { rows } = await client.query<{ token: string; domain: string }>(
    `SELECT token, domain FROM ${vault} WHERE ${where} AND ${isOrphan(declaration, rekey.from)}`,
  );
  const pairs = oneOfEachDomain(declaration.columns.filter(isMasked)).flatMap((column) => {
    const orphans = rows.filter(({ domain }) => domain === column.mask.domain).map(({ token }) => token);
    const current = retokener(keyset, column, rekey)(orphans);
    return orphans.flatMap((token, i) => (current[i] === undefined ? [] : [[token, current[i]] as const]));
  });
  if (pairs.length === 0) return 0;
  const { rows: counts } = await client.query<{ moved: number }>(
    `WITH pair AS (SELECT * FROM unnest($1::text[], $2::text[]) AS pair (old, current)),
          kept AS (
            INSERT INTO ${vault} (token, domain, key_id, sealed)
            SELECT current, domain, key_id, sealed FROM pair JOIN ${vault} ON token = old ORDER BY current
            ON CONFLICT (token) DO UPDATE SET key_id = excluded.key_id, sealed = excluded.sealed),
          moved AS (DELETE FROM ${vault} WHERE token IN (SELECT old FROM pair) RETURNING 1)
     UPDATE ${rekeysTable(declaration)} SET resealed = resealed + (SELECT count(*) FROM moved) WHERE id = ${rekey.id}
     RETURNING (SELECT count(*)::int FROM moved) AS moved`,
    [pairs.map(([old]) => old), pairs.map(([, current]) => current)],
  );
  return counts[0]!.moved;
}

/** A token of a key in the vault that stands in no row: tokens of rows have aliases. */
function isOrphan(declaration: TableDeclaration, from: string): string {
  const token = `${vaultTable(declaration)}.token`;
  return `${isOf(from, token)} AND NOT EXISTS (SELECT FROM ${aliasesTable(declaration)} AS alias WHERE alias.token = ${token})`;
}
