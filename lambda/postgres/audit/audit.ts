import type { ClientBase } from 'pg';
import { VizardError } from '../../errors.ts';
import { errorCode, isDatabaseFault } from '../sqlstate.ts';
import { inTransaction } from '../transaction.ts';
import { type Act, type AuditRow, BEFORE_THE_FIRST, chainHash, TIME_FORMAT } from './chain.ts';
import { AUDIT_TABLE, requireKeeping } from './table.ts';

export { type Act, type Action, type AuditRow, digestOf } from './chain.ts';

/** Milliseconds to wait for somebody else who appends. It takes them no time, unless their session hangs. */
const LOCK_WAIT = 10_000;

/**
 * Appends an act to the audit trail, in the caller's transaction (READ COMMITTED). Whoever appends next waits until that
 * has ended: the trail has one end, so what appends comes last in a transaction.
 *
 * @returns the row, which is there when the transaction has committed
 * @throws VizardError where this database has no trail or the role may not append to it
 */
export async function appendAudit(client: ClientBase, act: Act): Promise<AuditRow> {
  try {
    // LOCK TABLE would take more rights than to append.
    await client.query(
      `SET LOCAL lock_timeout = ${LOCK_WAIT}; SELECT pg_advisory_xact_lock(hashtext('vizard audit'))`,
    );
    await requireKeeping(client);
    const row = chained(act, await findEnd(client));
    const { number, at, who, action, reason, columns, count, kids, digest, previous } = row;
    const { rows } = await client.query<{ number: string; hash: string }>(
      `INSERT INTO ${AUDIT_TABLE} (number, at, who, action, reason, columns, count, kids, digest, previous, hash)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
       RETURNING number, hash`,
      [number, at, who, action, reason, columns, count, kids, digest, previous, row.hash],
    );
    const [kept] = rows;
    if (rows.length !== 1 || kept?.number !== String(number) || kept.hash !== row.hash) throw notKept();
    return row;
  } catch (error) {
    throw explain(error);
  }
}

/**
 * Does something only once its act stands in the audit trail, committed: where that fails, the work is never begun.
 *
 * @throws VizardError where the act can't be written
 */
export async function withAudit<T>(
  client: ClientBase,
  act: Act,
  work: (row: AuditRow) => T | Promise<T>,
): Promise<T> {
  let row: AuditRow;
  try {
    row = await inTransaction(client, async () => {
      await client.query('BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE');
      const appended = await appendAudit(client, act);
      await client.query('COMMIT');
      return appended;
    });
  } catch (error) {
    throw explain(error);
  }
  return work(row);
}

interface End {
  readonly number: number;
  readonly hash: string;
  /** The server's time. */
  readonly now: string;
}

/** The last row, in a statement of its own: one that began before the lock was had would not see it. */
async function findEnd(client: ClientBase): Promise<End> {
  const { rows } = await client.query<{ number: string; hash: string; now: string }>(
    `SELECT coalesce(max(number), 0) AS number, coalesce(max(hash), $1) AS hash,
            to_char(clock_timestamp() AT TIME ZONE 'UTC', '${TIME_FORMAT}') AS now
     FROM (SELECT number, hash FROM ${AUDIT_TABLE} ORDER BY number DESC LIMIT 1) AS last`,
    [BEFORE_THE_FIRST],
  );
  const { number, ...end } = rows[0]!;
  if (Number(number) >= Number.MAX_SAFE_INTEGER) throw outOfNumbers(number);
  return { ...end, number: Number(number) };
}

function chained(act: Act, end: End): AuditRow {
  const row = { ...act, number: end.number + 1, at: end.now, previous: end.hash };
  return { ...row, hash: chainHash(row) };
}

function notKept(): VizardError {
  return new VizardError(
    `the audit trail ${AUDIT_TABLE} did not keep what was written to it; nothing was shown or changed, see who has changed that table`,
  );
}

function outOfNumbers(number: string): VizardError {
  return new VizardError(
    `the audit trail ${AUDIT_TABLE} cannot be written: its last row has the number ${number}, which nobody gets to by appending; see who wrote it with \`vizard audit list\`, and have the owner take it out`,
  );
}

function explain(error: unknown): unknown {
  if (error instanceof VizardError || !isDatabaseFault(error)) return error;
  const code = errorCode(error);
  const advice =
    ADVICE[code] ?? 'nothing was shown or changed; see whether the database answers, and run it again';
  return new VizardError(`the audit trail ${AUDIT_TABLE} cannot be written (${code}); ${advice}`);
}

const READS_ONLY = 'this server only reads; name the one that writes';

/** By SQLSTATE. */
const ADVICE: Readonly<Record<string, string>> = {
  '42P01': 'run the migration, which makes it: `vizard run`, or the deployment of the stack',
  '42501': 'log in as a role that may append to it, vizard_recovery or vizard_custodian',
  '0A000': READS_ONLY,
  '25006': READS_ONLY,
  '55P03': 'another session has appended to it and does not end; find it in pg_locks',
};
