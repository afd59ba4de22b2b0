import { adviceFor } from './advice.ts';
import type { Deadline } from './deadline.ts';
import { DatabaseFailure, LoginFailure } from './errors.ts';
import type { TableDeclaration } from './events/declaration.ts';
import type { Log } from './log.ts';
import { type Login, RESUME_TIME, withClient } from './postgres/connection.ts';
import { dayOf } from './postgres/partitions/days.ts';
import { DAYS_AHEAD, keepPartitions, type OnChange } from './postgres/partitions/partitions.ts';

/** What a look at the partitions found and did. */
export interface KeptPartitions {
  /** Days from today on that have a partition. */
  readonly ahead: number;
  /** Partitions that were dropped. */
  readonly dropped: number;
  /** Rows of the default partition that were deleted: events that were too old when they came. */
  readonly expiredRows: number;
}

export interface PartitionsToKeep {
  readonly login: Login;
  /** Days before today that are kept. */
  readonly retentionDays: number;
  /** The time, in milliseconds since 1970 UTC. */
  readonly now: number;
}

/**
 * Makes the partitions that are missing and drops what is older than the retention, on a connection of its own.
 *
 * @throws VizardError with what a person can do about it; what was done before stays done
 */
export async function runRetention(
  declaration: TableDeclaration,
  { login, retentionDays, now }: PartitionsToKeep,
  log: Log,
  deadline: Deadline,
): Promise<KeptPartitions> {
  const tell = logChanges(log);
  let dropped = 0;
  let expiredRows = 0;
  const onChange: OnChange = (change) => {
    if (change.kind === 'dropped') dropped++;
    if (change.kind === 'deleted') expiredRows += change.rows;
    tell(change);
  };
  try {
    const keep = { today: dayOf(now), retentionDays, ahead: DAYS_AHEAD, deadline };
    const limits = { patience: RESUME_TIME, deadline };
    const ahead = await withClient(
      login,
      (client) => keepPartitions(client, declaration, keep, onChange),
      limits,
    );
    return { ahead, dropped, expiredRows };
  } catch (error) {
    if (!(error instanceof DatabaseFailure) || error instanceof LoginFailure) throw error;
    throw new DatabaseFailure(
      `partitions of ${declaration.table} were not kept up; ${adviceFor(error.code)}`,
      error.code,
    );
  }
}

/** Says of each change what it was, as soon as it is committed. */
export function logChanges(log: Log): OnChange {
  return (change) => {
    switch (change.kind) {
      case 'made':
        return log.info(`made partition ${change.partition}`, { rows: change.rows });
      case 'dropped':
        return log.info(`dropped partition ${change.partition}`, {});
      case 'deleted':
        return log.info('deleted rows of the default partition that were too old', { rows: change.rows });
      default:
        return change satisfies never;
    }
  };
}
