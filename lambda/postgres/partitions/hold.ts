import type { ClientBase } from 'pg';
import type { TableDeclaration } from '../../events/declaration.ts';
import { inTransaction } from '../transaction.ts';

/**
 * Waits until no partition is being made, and lets none be made before the transaction ends. Whoever wants to see every row
 * does this first, in a statement of its own: a statement that waits for a partition to be attached was planned without
 * it, and finds the rows that went there in neither place.
 */
export async function holdPartitions(client: ClientBase, { table }: TableDeclaration): Promise<void> {
  await client.query(`LOCK TABLE ${table} IN ACCESS SHARE MODE`);
}

/** Runs what has to see every row in a transaction of its own, which only reads. Not inside one of the caller's. */
export function seeEveryRow<T>(
  client: ClientBase,
  declaration: TableDeclaration,
  read: () => Promise<T>,
): Promise<T> {
  return inTransaction(client, async () => {
    await client.query('BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY');
    await holdPartitions(client, declaration);
    const result = await read();
    await client.query('COMMIT');
    return result;
  });
}
