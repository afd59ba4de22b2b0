import type { ClientBase } from 'pg';
import { VizardError } from '../../errors.ts';

/**
 * Whether there is a relation of the name.
 *
 * @param kinds as pg_class has them
 * @throws VizardError where it is of another kind
 */
export async function exists(
  client: ClientBase,
  name: string,
  expected: string,
  kinds: readonly string[],
): Promise<boolean> {
  const { rows } = await client.query<{ kind: string }>(
    'SELECT relkind AS kind FROM pg_class WHERE oid = to_regclass($1)',
    [name],
  );
  const [found] = rows;
  if (found === undefined || kinds.includes(found.kind)) return found !== undefined;
  throw new VizardError(
    `${expected} ${name}: expected a ${expected}, got something else of that name; rename it`,
  );
}

/** Whether there is a relation of that name by the search path, whatever it is. */
export async function isThere(client: ClientBase, relation: string): Promise<boolean> {
  const { rows } = await client.query<{ there: boolean }>('SELECT to_regclass($1) IS NOT NULL AS there', [
    relation,
  ]);
  return rows[0]!.there;
}
