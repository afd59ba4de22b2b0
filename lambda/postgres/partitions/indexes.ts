import type { ClientBase } from 'pg';
import type { TableDeclaration } from '../../events/declaration.ts';
import type { Run } from '../schema/change.ts';
import { idempotencyIndex } from '../schema/table.ts';
import { readPartitions } from './catalog.ts';
import { historyPartition, partitionIndex, partitionName } from './ddl.ts';

/**
 * Gives the idempotency indexes of partitions that were made by hand, which have names of Postgres's own, the name by which
 * a duplicate is known: that of the partition of its first day, whatever the partition itself is called. Waits for no
 * reader and no writer, and none waits for it.
 *
 * @throws VizardError where the table is not partitioned by date
 */
export async function nameIndexes(
  client: ClientBase,
  declaration: TableDeclaration,
  run: Run,
): Promise<void> {
  const { rows } = await client.query<{ partition: string; index: string; name: string }>(
    `SELECT indrelid::regclass::text AS partition, indexrelid::regclass::text AS index, relname AS name
     FROM pg_inherits JOIN pg_index ON indexrelid = inhrelid JOIN pg_class c ON c.oid = indexrelid
     WHERE inhparent = $1::regclass`,
    [idempotencyIndex(declaration)],
  );
  for (const { name, from } of await readPartitions(client, declaration)) {
    const first = from === -Infinity ? historyPartition(declaration) : partitionName(declaration, from);
    const expected = partitionIndex(first);
    const found = rows.find(({ partition }) => partition === name);
    if (found !== undefined && found.name !== expected) {
      await run(`ALTER INDEX ${found.index} RENAME TO ${expected}`);
    }
  }
}
