import type { ClientBase } from 'pg';
import { DATE_COLUMN, type TableDeclaration } from '../../events/declaration.ts';
import { exists } from '../schema/catalog.ts';
import type { Run } from '../schema/change.ts';
import { idempotencyIndex, PARTITIONED } from '../schema/table.ts';
import { belongOnlyToOwnerOf, moveGrants, requireOwner } from '../schema/table-rights.ts';
import { isPartitioned } from './catalog.ts';
import { type Day, isoDate } from './days.ts';
import { attachPartition, defaultPartition, historyPartition, moveRows, partitionIndex } from './ddl.ts';
import { nameIndexes } from './indexes.ts';
import { requireDates, requireNothingToLose } from './takeover-checks.ts';

/**
 * Makes the table a partitioned one with a default partition. A plain one that is there becomes a partition itself: for all
 * days up to today, and what is later goes to the default one. Whoever writes or reads waits.
 *
 * @returns what was not there before: `partition …`
 * @throws VizardError where something of the plain table would be lost, or rows have no date
 */
export async function bringUpPartitioning(
  client: ClientBase,
  declaration: TableDeclaration,
  today: Day,
  run: Run,
): Promise<string[]> {
  const isPlain = !(await isPartitioned(client, declaration));
  if (isPlain) await putInPlace(client, declaration, run);
  const otherwise = defaultPartition(declaration);
  if (!(await exists(client, otherwise, 'table', ['r']))) {
    await attachPartition(declaration, otherwise, 'DEFAULT', run);
  }
  if (!isPlain) {
    await nameIndexes(client, declaration, run);
    return [];
  }
  await attachHistory(client, declaration, isoDate(today + 1), run);
  return [`partition ${historyPartition(declaration)}`];
}

/** Gives the plain table another name, and its own to a partitioned one like it. */
async function putInPlace(client: ClientBase, declaration: TableDeclaration, run: Run): Promise<void> {
  const { table } = declaration;
  await requireOwner(run, table);
  await run(`LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
  await requireNothingToLose(client, declaration);
  await requireDates(declaration, run);
  const history = historyPartition(declaration);
  const index = idempotencyIndex(declaration);
  await run(`ALTER TABLE ${table} RENAME TO ${history}`);
  await run(`ALTER INDEX ${index} RENAME TO ${partitionIndex(history)}`);
  await run(`CREATE TABLE ${table} (LIKE ${history} INCLUDING ALL) ${PARTITIONED}`);
  // The copy has a name of Postgres's own, and is the only one that is unique.
  const { rows } = await client.query<{ name: string }>(
    'SELECT indexrelid::regclass::text AS name FROM pg_index WHERE indrelid = $1::regclass AND indisunique',
    [table],
  );
  await run(`ALTER INDEX ${rows[0]!.name} RENAME TO ${index}`);
  await belongOnlyToOwnerOf(run, table, history);
  await moveGrants(run, history, table);
}

/** One event of the year 2099 must not keep all the rest until then. @param end the day after the last one */
async function attachHistory(
  client: ClientBase,
  declaration: TableDeclaration,
  end: string,
  run: Run,
): Promise<void> {
  const history = historyPartition(declaration);
  const where = `${DATE_COLUMN} >= '${end}'`;
  await moveRows(client, { from: history, to: defaultPartition(declaration), where }, run);
  await run(
    `ALTER TABLE ${declaration.table} ATTACH PARTITION ${history} FOR VALUES FROM (MINVALUE) TO ('${end}')`,
  );
}
