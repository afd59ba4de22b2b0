import type { ClientBase } from 'pg';
import { isMasked, type TableDeclaration } from '../../events/declaration.ts';
import type { Keyset } from '../../masking/keyset.ts';
import { retokener } from '../../masking/retoken.ts';
import { isOf, type RekeyUnderWay } from './batch.ts';
import { aliasesTable } from './tables.ts';

const SAMPLE = 1_000;

/**
 * Looks at what rows were rewritten by: two values must not have one alias, which all aliases are looked at for, and an
 * alias is what the keyset makes of its token, which a sample is looked at for.
 *
 * @returns how many are not so
 */
export async function countWrongAliases(
  client: ClientBase,
  declaration: TableDeclaration,
  keyset: Keyset,
  rekey: RekeyUnderWay,
): Promise<number> {
  const aliases = `FROM ${aliasesTable(declaration)} WHERE ${isOf(rekey.from, 'token')} AND ${isOf(rekey.to, 'current')}`;
  const { rows: merged } = await client.query<{ count: number }>(
    `SELECT coalesce(sum(times), 0)::float AS count
     FROM (SELECT count(*) AS times ${aliases} GROUP BY current HAVING count(*) > 1) AS many`,
  );
  const { rows: sample } = await client.query<{ token: string; current: string }>(
    `SELECT token, current ${aliases} ORDER BY random() LIMIT ${SAMPLE}`,
  );
  // Nothing says of which column a token is.
  const tokens = sample.map(({ token }) => token);
  const made = declaration.columns.filter(isMasked).map((column) => retokener(keyset, column, rekey)(tokens));
  const wrong = sample.filter(({ current }, place) => !made.some((ofColumn) => ofColumn[place] === current));
  return merged[0]!.count + wrong.length;
}
