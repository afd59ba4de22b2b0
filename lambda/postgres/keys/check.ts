import type { ClientBase, QueryResult } from 'pg';
import type { Deadline } from '../../deadline.ts';
import { KeysetFailure } from '../../errors.ts';
import type { TableDeclaration } from '../../events/declaration.ts';
import { type KeyProof, provenKey } from '../../masking/key-proof.ts';
import { beginStatement } from '../transaction.ts';
import { keysTable } from './table.ts';

/** Claims keys in a transaction of its own. @throws KeysetFailure, and what pg throws */
export type KeyCheck = (client: ClientBase, keys: readonly KeyProof[], deadline: Deadline) => Promise<void>;

/** Proofs as a table has them, by their kid. */
export type KnownProofs = ReadonlyMap<string, string>;

/** A check that remembers the keys which it has seen to be those of the table: for them it asks nothing. */
export function createKeyCheck(declaration: TableDeclaration): KeyCheck {
  const passed = new WeakSet<readonly KeyProof[]>();
  return async (client, keys, deadline) => {
    if (passed.has(keys)) return;
    const known = await readInOneMessage(client, declaration, deadline);
    if (newProofs(declaration, keys, known).length > 0) {
      await client.query(beginStatement(deadline));
      await claimKeys(client, declaration, keys);
      await client.query('COMMIT');
    }
    passed.add(keys);
  };
}

/** All of them, because a table was written with few keys. */
function selectProofs(declaration: TableDeclaration): string {
  return `SELECT kid, proof FROM ${keysTable(declaration)}`;
}

/** As readProofs, where a new environment waits for the answer and the timeouts need a transaction. */
async function readInOneMessage(
  client: ClientBase,
  declaration: TableDeclaration,
  deadline: Deadline,
): Promise<KnownProofs> {
  const results: unknown = await client.query(
    `${beginStatement(deadline)}; ${selectProofs(declaration)}; ROLLBACK`,
  );
  // One for each statement.
  return byKid((results as QueryResult<KeyProof>[]).at(-2)!);
}

/** The proofs of all keys that the table was written with. */
export async function readProofs(client: ClientBase, declaration: TableDeclaration): Promise<KnownProofs> {
  return byKid(await client.query<KeyProof>(selectProofs(declaration)));
}

function byKid({ rows }: QueryResult<KeyProof>): KnownProofs {
  return new Map(rows.map(({ kid, proof }) => [kid, proof]));
}

/**
 * Compares keys with those of their names that the table was written with. Changes nothing.
 *
 * @returns the proofs that the table does not have
 * @throws KeysetFailure where the table was written with another key of the same name, or one that was layered otherwise
 */
export async function checkKeys(
  client: ClientBase,
  declaration: TableDeclaration,
  keys: readonly KeyProof[],
): Promise<KeyProof[]> {
  return newProofs(declaration, keys, await readProofs(client, declaration));
}

function newProofs(declaration: TableDeclaration, keys: readonly KeyProof[], known: KnownProofs): KeyProof[] {
  return keys.filter(({ kid, proof }) => {
    const expected = known.get(kid);
    if (expected !== undefined && expected !== proof) throw otherKey(declaration, kid);
    return expected === undefined;
  });
}

/**
 * Compares keys with those of their names that the table was written with, and enters what it does not have: whoever
 * comes later with another key of that name is refused.
 *
 * @throws KeysetFailure as checkKeys does
 */
export async function claimKeys(
  client: ClientBase,
  declaration: TableDeclaration,
  keys: readonly KeyProof[],
): Promise<void> {
  const unknown = await checkKeys(client, declaration, keys);
  if (unknown.length === 0) return;
  await client.query(
    `INSERT INTO ${keysTable(declaration)} (kid, proof)
     SELECT kid, proof FROM unnest($1::text[], $2::text[]) AS new (kid, proof) ON CONFLICT (kid) DO NOTHING`,
    [unknown.map(({ kid }) => kid), unknown.map(({ proof }) => proof)],
  );
  // Somebody else may have been first.
  await checkKeys(client, declaration, keys);
}

function otherKey({ table }: TableDeclaration, kid: string): KeysetFailure {
  const key = provenKey(kid);
  const code = key.layered ? 'wrong_layers' : 'wrong_key';
  return new KeysetFailure(
    key.layered
      ? `key "${key.kid}": expected the layers of the irreversible tokens in the table ${table}, got others; restore the keyset that wrote it, with its member "${key.kid}.over" and the keys below (${code})`
      : `key "${kid}": expected the one that wrote the table ${table}, got another of the same name; restore the keyset that wrote it, or give the new key a name of its own (${code})`,
    code,
  );
}
