import { VizardError } from '../../../lambda/errors.ts';
import { proveLayers } from '../../../lambda/masking/key-proof.ts';
import { countTokens, findHolders, type TokenCount } from '../../../lambda/postgres/keys/token-count.ts';
import { keysAbove } from '../../keys/keyset-edit.ts';
import type { Situation } from './change.ts';

/** Counts the rows of the table by the keys of their tokens, and says so while it does. */
export async function countRows({
  client,
  declaration,
  progress,
}: Pick<Situation, 'client' | 'declaration' | 'progress'>): Promise<TokenCount[]> {
  progress.note(`counting the rows of ${declaration.table} by key`);
  return countTokens(client, declaration);
}

/**
 * @returns how many tokens of each key there are
 * @throws VizardError where a token of the key stands in the table or beside it, or the table is none of the keyset
 */
export async function requireUnused(situation: Situation, kid: string): Promise<TokenCount[]> {
  const { client, declaration, keyset } = situation;
  requireOwnTable(situation, kid);
  const counts = await countRows(situation);
  const ofKey = counts.filter((count) => count.kid === kid);
  const inTable = { table: declaration.table, rows: ofKey.reduce((sum, { rows }) => sum + rows, 0) };
  const holders = await findHolders(client, declaration, kid);
  const [holder] = [inTable, ...holders].filter(({ rows }) => rows > 0);
  if (holder === undefined) return counts;
  const rows = `${holder.rows} ${holder.rows === 1 ? 'row' : 'rows'}`;
  throw new VizardError(
    `key "${kid}": expected no token of it in ${holder.table}, got ${rows}; run \`vizard rekey --from ${kid} --to ${keyset.primary}\` first`,
  );
}

/** In a table that knows neither key nothing would be found, whatever there is in another. */
function requireOwnTable({ keyset: { primary }, proofs, declaration }: Situation, kid: string): void {
  if (proofs.has(kid) || proofs.has(primary)) return;
  throw new VizardError(
    `table ${declaration.table}: expected one that was written with key "${kid}" or with the primary key "${primary}", got one that was written with neither; name the database that belongs to the keyset`,
  );
}

/**
 * A key whose irreversible tokens need this one for good: they are in the table, or functions make them.
 *
 * @param counts of the tokens in the table
 */
export function layeredOver(
  { keyset, proofs }: Pick<Situation, 'keyset' | 'proofs'>,
  kid: string,
  counts: readonly TokenCount[],
): string | undefined {
  return keysAbove(keyset, kid).find(
    (above) =>
      proofs.has(proveLayers(keyset, above).kid) ||
      counts.some((count) => count.kid === above && count.scheme === 'h1'),
  );
}
