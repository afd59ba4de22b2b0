import { VizardError } from '../../lambda/errors.ts';
import type { TableDeclaration } from '../../lambda/events/declaration.ts';
import { proveKey, proveLayers, provenKey } from '../../lambda/masking/key-proof.ts';
import type { Keyset } from '../../lambda/masking/keyset.ts';
import type { DatabaseClient } from '../../lambda/postgres/connection.ts';
import { checkKeys, readProofs } from '../../lambda/postgres/keys/check.ts';
import { readShreddedKids } from '../../lambda/postgres/keys/shredded.ts';
import { countTokens } from '../../lambda/postgres/keys/token-count.ts';

/**
 * Compares a keyset with the keys that the table was written with: with another or a part of it, rows of somebody who is
 * sought would be passed over. What is found under shredded keys is said on standard error.
 *
 * @returns the keys that were shredded, and that rows are still under: nobody can say whose these are
 * @throws VizardError where the keyset has another key of a name, or lacks one that was not shredded
 */
export async function requireAllKeys(
  client: DatabaseClient,
  declaration: TableDeclaration,
  keyset: Keyset,
): Promise<string[]> {
  const proofs = keyset.kids.flatMap((kid) => [proveKey(keyset, kid), proveLayers(keyset, kid)]);
  await checkKeys(client, declaration, proofs);
  const written = [...(await readProofs(client, declaration)).keys()].map((kid) => provenKey(kid).kid);
  const missing = [...new Set(written)].filter((kid) => !keyset.kids.includes(kid)).toSorted();
  if (missing.length === 0) return [];
  const shredded = await readShreddedKids(client);
  const lacking = missing.filter((kid) => !shredded.has(kid));
  if (lacking.length > 0)
    throw new VizardError(
      `keyset: expected all keys that the table ${declaration.table} was written with, got none of the name ${lacking.join(', ')}; nothing was sought, name the keyset that has it`,
    );
  const held = new Set((await countTokens(client, declaration)).map(({ kid }) => kid));
  const unsearched = missing.filter((kid) => held.has(kid));
  if (unsearched.length > 0)
    process.stderr.write(
      `${declaration.table} has rows under keys that were shredded (${unsearched.join(', ')}): nobody can say whose they are, and they are not searched\n`,
    );
  return unsearched;
}
