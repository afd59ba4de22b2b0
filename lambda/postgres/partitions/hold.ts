import type { ClientBase } from 'pg';
import type { TableDeclaration } from '../../events/declaration.ts';

/**
 * Waits until no partition is being made, and lets none be made before the transaction ends. Whoever wants to see every row
 * does this first, in a statement of its own: a statement that waits for a partition to be attached was planned without
 * it, and finds the rows that went there in neither place.
 */
export async function holdPartitions(client: ClientBase, { table }: TableDeclaration): Promise<void> {
  await client.query(`LOCK TABLE ${table} IN ACCESS SHARE MODE`);
}
