import type { ClientBase, QueryResult } from 'pg';
import type { Deadline } from '../deadline.ts';
import { KeysetFailure } from '../errors.ts';
import type { TableDeclaration } from '../events/declaration.ts';
import type { KeyProof } from '../masking/key-proof.ts';
import { keysTable } from './keys-table.ts';
import { beginStatement } from './transaction.ts';

/** Claims a key in a transaction of its own. @throws KeysetFailure, and what pg throws */
export type KeyCheck = (client: ClientBase, key: KeyProof, deadline: Deadline) => Promise<void>;

/** A check that remembers the keys which it has seen to be those of the table: for them it asks nothing. */
export function createKeyCheck(declaration: TableDeclaration): KeyCheck {
  const known = new Set<string>();
  return async (client, key, deadline) => {
    if (known.has(key.proof)) return;
    const proof = await findProof(client, declaration, key, deadline);
    if (proof === undefined) {
      await client.query(beginStatement(deadline));
      await claimKey(client, declaration, key);
      await client.query('COMMIT');
    } else if (proof !== key.proof) throw wrongKey(declaration, key.kid);
    known.add(key.proof);
  };
}

/**
 * The proof that the table knows by the name of a key. In one message, because a new environment waits for the answer: the
 * timeouts need a transaction, a parameter would need a message of its own, and a table was written with few keys.
 */
async function findProof(
  client: ClientBase,
  declaration: TableDeclaration,
  { kid }: KeyProof,
  deadline: Deadline,
): Promise<string | undefined> {
  const results: unknown = await client.query(
    `${beginStatement(deadline)}; SELECT kid, proof FROM ${keysTable(declaration)}; ROLLBACK`,
  );
  // One for each statement.
  const { rows } = (results as QueryResult<KeyProof>[]).at(-2)!;
  return rows.find((known) => known.kid === kid)?.proof;
}

/**
 * Compares a key with the one of its name that the table was written with. Changes nothing.
 *
 * @returns whether the table was written with it; false where it knows none of that name
 * @throws KeysetFailure where the table was written with another key of the same name
 */
export async function checkKey(
  client: ClientBase,
  declaration: TableDeclaration,
  { kid, proof }: KeyProof,
): Promise<boolean> {
  const { rows } = await client.query<{ proof: string }>(
    `SELECT proof FROM ${keysTable(declaration)} WHERE kid = $1`,
    [kid],
  );
  const [known] = rows;
  if (known !== undefined && known.proof !== proof) throw wrongKey(declaration, kid);
  return known !== undefined;
}

/**
 * Compares a key with the one of its name that the table was written with, and enters it where there is none: whoever
 * comes later with another key of that name is refused.
 *
 * @throws KeysetFailure where the table was written with another key of the same name
 */
export async function claimKey(
  client: ClientBase,
  declaration: TableDeclaration,
  key: KeyProof,
): Promise<void> {
  if (await checkKey(client, declaration, key)) return;
  await client.query(
    `INSERT INTO ${keysTable(declaration)} (kid, proof) VALUES ($1, $2) ON CONFLICT (kid) DO NOTHING`,
    [key.kid, key.proof],
  );
  // Somebody else may have been first.
  await checkKey(client, declaration, key);
}

function wrongKey({ table }: TableDeclaration, kid: string): KeysetFailure {
  const code = 'wrong_key';
  return new KeysetFailure(
    `key "${kid}": expected the one that wrote the table ${table}, got another of the same name; restore the keyset that wrote it, or give the new key a name of its own (${code})`,
    code,
  );
}
