import type { ClientBase } from 'pg';
import { inTransaction } from '../transaction.ts';

/** Runs statements in a transaction of their own. */
export function transact<T>(client: ClientBase, work: () => Promise<T>): Promise<T> {
  return inTransaction(client, async () => {
    await client.query('BEGIN');
    const result = await work();
    await client.query('COMMIT');
    return result;
  });
}
