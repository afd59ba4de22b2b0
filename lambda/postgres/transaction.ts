import type { ClientBase } from 'pg';
import type { Deadline } from '../deadline.ts';

/** Seconds without a word after which the server asks whether we are there, and between its questions. */
const KEEPALIVES = ['tcp_keepalives_idle = 30', 'tcp_keepalives_interval = 10', 'tcp_keepalives_count = 3'];

/**
 * The statements get half of the time, so that there is time to try again with less. A session whose function has gone
 * holds its rows and locks against others: it ends with the invocation, and in the middle of a COPY, where the server
 * has no timeout, a minute after the network has lost the function.
 */
export function beginStatement(deadline: Deadline): string {
  const remaining = deadline.remaining();
  const settings = [
    `statement_timeout = ${timeout(remaining / 2)}`,
    `idle_in_transaction_session_timeout = ${timeout(remaining)}`,
    ...KEEPALIVES,
  ];
  return ['BEGIN', ...settings.map((setting) => `SET LOCAL ${setting}`)].join('; ');
}

/**
 * For several statements in one message: together they get what one of them gets. PostgreSQL 17 and newer; before, only the
 * end of the connection ends what is slow as a whole.
 */
export function limitTogether(deadline: Deadline): string {
  const limit = timeout(deadline.remaining() / 2);
  return `SELECT set_config('transaction_timeout', '${limit}', true) WHERE current_setting('server_version_num')::int >= 170000`;
}

/** A constraint that is deferred would blame no row. */
export const CHECK_AT_ONCE = 'SET CONSTRAINTS ALL IMMEDIATE';

/** As the server has it: at least a millisecond, and 0 for none. */
export function timeout(milliseconds: number): number {
  return milliseconds === Infinity ? 0 : Math.max(1, Math.floor(milliseconds));
}

/** Ends the transaction of a failed statement where the connection still answers. */
export async function inTransaction<T>(client: ClientBase, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    // A lost connection refuses the ROLLBACK; what it was lost by is what counts.
    await client.query('ROLLBACK').catch(() => {});
    throw error;
  }
}
