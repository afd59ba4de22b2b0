import type { SQSRecord } from 'aws-lambda';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { withClient } from '../../lambda/postgres/connection.ts';
import type { Day } from '../../lambda/postgres/partitions/days.ts';
import { keepPartitions, type PartitionChange } from '../../lambda/postgres/partitions/partitions.ts';
import type { TestDatabase } from './database.ts';
import { loginEvent, record } from './records.ts';

export const A_DAY = 86_400_000;
/** 14 November 2023. */
export const TODAY: Day = 19_675;

/** The day as partitions are named: 20231114. */
export function compact(day: Day): string {
  return new Date(day * A_DAY).toISOString().slice(0, 10).replaceAll('-', '');
}

/** A message sent at noon of the day. */
export function recordOf(day: Day, changes: Parameters<typeof record>[1] = {}): SQSRecord {
  return record(loginEvent(), { sentTimestamp: String(day * A_DAY + A_DAY / 2), ...changes });
}

export interface Kept {
  readonly ahead: number;
  readonly changes: readonly PartitionChange[];
}

/** One run of the maintenance on a connection of its own. */
export async function keep(
  database: TestDatabase,
  today: Day,
  retentionDays: number,
  lockWait = 5_000,
): Promise<Kept> {
  const changes: PartitionChange[] = [];
  const options = { today, retentionDays, ahead: 7, lockWait };
  const ahead = await withClient(database.login, (client) =>
    keepPartitions(client, loginEvents, options, (change) => changes.push(change)),
  );
  return { ahead, changes };
}

/** The partitions that have rows, with how many: `{ 20231114: 2, default: 1 }`. */
export async function rowsByPartition(database: TestDatabase): Promise<Record<string, number>> {
  const rows = await database.rows<{ partition: string; count: number }>(
    `SELECT substring(tableoid::regclass::text FROM 'user_logins_(.*)') AS partition, count(*)::int
     FROM user_logins GROUP BY 1 ORDER BY 1`,
  );
  return Object.fromEntries(rows.map(({ partition, count }) => [partition, count]));
}

/** All partitions, by what follows the table's name. */
export async function partitions(database: TestDatabase): Promise<string[]> {
  const rows = await database.rows<{ name: string }>(
    `SELECT substring(inhrelid::regclass::text FROM 'user_logins_(.*)') AS name FROM pg_inherits
     WHERE inhparent = 'user_logins'::regclass ORDER BY 1`,
  );
  return rows.map(({ name }) => name);
}

/** From the first day to the last, as partitions are named. */
export function daysFrom(first: Day, last: Day): string[] {
  return Array.from({ length: last - first + 1 }, (_, i) => compact(first + i));
}
