import type { ClientBase } from 'pg';
import { VizardError } from '../errors.ts';
import { DATE_COLUMN, type TableDeclaration } from '../events/declaration.ts';
import {
  type Day,
  type DaysAhead,
  daysCovered,
  expired,
  firstMissing,
  isoDate,
  oldestKept,
  type Partition,
  type Retention,
} from './partition-days.ts';
import { attachPartition, dayRange, defaultPartition, moveRows, partitionName } from './partition-ddl.ts';
import { changeSchema, type Run, type SchemaChangeOptions } from './schema-change.ts';

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
 * Makes what `makePartitions` makes, and then partitions for older days that are kept and whose rows are in the default
 * one; drops partitions of which no day is kept, and deletes what is as old in the default one.
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
    const day = await oldestStray(client, declaration, keep);
    return day === undefined ? undefined : makePartition(client, declaration, day, run);
  });
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
  return changeSchema(client, declaration, keep, async () =>
    daysCovered(await readPartitions(client, declaration), keep),
  );
}

/**
 * Whether a table is there and is partitioned by date.
 *
 * @throws VizardError where it is partitioned by something else
 */
export async function isPartitioned(client: ClientBase, declaration: TableDeclaration): Promise<boolean> {
  const key = await partitionKey(client, declaration);
  if (key === undefined || key === BY_DATE) return key !== undefined;
  throw new VizardError(
    `table ${declaration.table}: expected to be partitioned by ${BY_DATE}, got another key; make it anew, or do without retentionDays`,
  );
}

/**
 * For those who will not make tomorrow's partition.
 *
 * @throws VizardError where a table is there and is partitioned by date
 */
export async function requirePlainTable(client: ClientBase, declaration: TableDeclaration): Promise<void> {
  if ((await partitionKey(client, declaration)) !== BY_DATE) return;
  throw new VizardError(
    `table ${declaration.table}: expected a plain table without retentionDays, got a partitioned one, whose partitions nobody would make; deploy with -c retentionDays=…`,
  );
}

const BY_DATE = `RANGE (${DATE_COLUMN})`;

/** @returns undefined for a plain table, or where there is none */
async function partitionKey(client: ClientBase, { table }: TableDeclaration): Promise<string | undefined> {
  const { rows } = await client.query<{ key: string | null }>(
    'SELECT pg_get_partkeydef(oid) AS key FROM pg_class WHERE oid = to_regclass($1)',
    [table],
  );
  return rows[0]?.key ?? undefined;
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

/** All but the default one. What was made by hand counts like our own. */
async function readPartitions(client: ClientBase, declaration: TableDeclaration): Promise<Partition[]> {
  const { table } = declaration;
  if (!(await isPartitioned(client, declaration))) {
    throw new VizardError(
      `table ${table}: expected to be partitioned by date, got a plain one or none; run the migration with retentionDays`,
    );
  }
  const { rows } = await client.query<{ name: string; from: Day | null; to: Day | null }>(
    `SELECT name, lower - DATE '1970-01-01' AS "from", upper - DATE '1970-01-01' AS "to"
     FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid,
          LATERAL regexp_match(pg_get_expr(relpartbound, c.oid), '^FOR VALUES FROM \\((.+)\\) TO \\((.+)\\)$') AS bound,
          LATERAL (SELECT c.oid::regclass::text, nullif(trim('''' FROM bound[1]), 'MINVALUE')::date,
                          nullif(trim('''' FROM bound[2]), 'MAXVALUE')::date) AS partition (name, lower, upper)
     WHERE inhparent = $1::regclass AND bound IS NOT NULL`,
    [table],
  );
  return rows.map(({ name, from, to }) => ({ name, from: from ?? -Infinity, to: to ?? Infinity }));
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
