import type { ClientBase } from 'pg';
import { DATE_COLUMN, type TableDeclaration } from '../../events/declaration.ts';
import { changeSchema, type Run, type SchemaChangeOptions } from '../schema/change.ts';
import { readPartitions } from './catalog.ts';
import {
  type Day,
  type DaysAhead,
  daysCovered,
  expired,
  firstMissing,
  isoDate,
  oldestKept,
  type Retention,
} from './days.ts';
import { attachPartition, dayRange, defaultPartition, moveRows, partitionName } from './ddl.ts';
import { nameIndexes } from './indexes.ts';

/** One thing that was done, and is committed. */
export type PartitionChange =
  /** `rows` of the day were in the default partition before. */
  | { readonly kind: 'made'; readonly partition: string; readonly rows: number }
  | { readonly kind: 'dropped'; readonly partition: string }
  /** Rows of the default partition that were older than what is kept. */
  | { readonly kind: 'deleted'; readonly rows: number };

/** Told of each change as soon as it is committed. */
export type OnChange = (change: PartitionChange) => void;

/** Today's partition and those of as many days after it are there before they are needed. */
export const DAYS_AHEAD = 7;

/**
 * Makes the partitions of today and of the days ahead that are missing. Rows of those days that have come meanwhile are
 * moved there from the default partition. Each partition has a transaction of its own, so that no lock is held for long and
 * what is cut off goes on where it ended. Idempotent, safe to run from several places at once.
 *
 * @throws VizardError where the table is not partitioned by date
 */
export async function makePartitions(
  client: ClientBase,
  declaration: TableDeclaration,
  days: DaysAhead & SchemaChangeOptions,
  onChange: OnChange,
): Promise<void> {
  await untilDone(client, declaration, days, onChange, async (run) => {
    const day = firstMissing(await readPartitions(client, declaration), days);
    return day === undefined ? undefined : makePartition(client, declaration, day, run);
  });
}

/**
 * Makes what `makePartitions` makes, drops partitions of which no day is kept, and deletes what is as old in the default one.
 * Then makes partitions for older days that are kept and whose rows are in the default one: one that can't be made keeps no
 * old event.
 *
 * @returns how many days from today on have a partition
 * @throws VizardError where the table is not partitioned by date
 */
export async function keepPartitions(
  client: ClientBase,
  declaration: TableDeclaration,
  keep: Retention & DaysAhead & SchemaChangeOptions,
  onChange: OnChange,
): Promise<number> {
  // Today first: where it is missing, the ingest waits for the default partition while rows are moved out of it.
  await makePartitions(client, declaration, keep, onChange);
  await untilDone(client, declaration, keep, onChange, async (run) => {
    const [oldest] = expired(await readPartitions(client, declaration), keep);
    if (oldest === undefined) return undefined;
    await run(`DROP TABLE ${oldest.name}`);
    return { kind: 'dropped', partition: oldest.name };
  });
  await untilDone(client, declaration, keep, onChange, async (run) => {
    const table = defaultPartition(declaration);
    const date = isoDate(oldestKept(keep));
    const { rowCount } = await run(`DELETE FROM ${table} WHERE ${DATE_COLUMN} < $1::date`, [date]);
    return rowCount ? { kind: 'deleted', rows: rowCount } : undefined;
  });
  await untilDone(client, declaration, keep, onChange, async (run) => {
    const day = await oldestStray(client, declaration, keep);
    return day === undefined ? undefined : makePartition(client, declaration, day, run);
  });
  return changeSchema(client, declaration, keep, async (run) => {
    await nameIndexes(client, declaration, run);
    return daysCovered(await readPartitions(client, declaration), keep);
  });
}

/** Does one thing after the other, each in a transaction of its own, until there is nothing left to do. */
async function untilDone(
  client: ClientBase,
  declaration: TableDeclaration,
  options: SchemaChangeOptions,
  onChange: OnChange,
  next: (run: Run) => Promise<PartitionChange | undefined>,
): Promise<void> {
  for (;;) {
    const change = await changeSchema(client, declaration, options, next);
    if (change === undefined) return;
    onChange(change);
  }
}

/** The oldest day that is kept and has rows in the default partition, because it had none of its own when they came. */
async function oldestStray(
  client: ClientBase,
  declaration: TableDeclaration,
  { ahead, ...retention }: Retention & DaysAhead,
): Promise<Day | undefined> {
  const { rows } = await client.query<{ day: Day | null }>(
    `SELECT min(${DATE_COLUMN}) - DATE '1970-01-01' AS day FROM ${defaultPartition(declaration)}
     WHERE ${DATE_COLUMN} BETWEEN $1::date AND $2::date`,
    [isoDate(oldestKept(retention)), isoDate(retention.today + ahead)],
  );
  return rows[0]!.day ?? undefined;
}

async function makePartition(
  client: ClientBase,
  declaration: TableDeclaration,
  day: Day,
  run: Run,
): Promise<PartitionChange> {
  const partition = partitionName(declaration, day);
  const { table } = declaration;
  // As ATTACH takes it too, and before rows are moved: nobody adds one of that day meanwhile.
  const from = defaultPartition(declaration);
  await run(
    `LOCK TABLE ONLY ${table} IN SHARE UPDATE EXCLUSIVE MODE; LOCK TABLE ${from} IN ACCESS EXCLUSIVE MODE`,
  );
  const rows = await attachPartition(declaration, partition, dayRange(day), run, () =>
    moveRows(client, { from, to: partition, where: `${DATE_COLUMN} = '${isoDate(day)}'` }, run),
  );
  return { kind: 'made', partition, rows };
}
