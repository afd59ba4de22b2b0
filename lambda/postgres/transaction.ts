import type { ClientBase } from 'pg';
import type { Deadline } from '../deadline.ts';

/** Seconds without a word after which the server asks whether we are there, and between its questions. */
const KEEPALIVES = ['tcp_keepalives_idle = 30', 'tcp_keepalives_interval = 10', 'tcp_keepalives_count = 3'];

/**
 * The statements get half of the time, so that there is time to try again with less. A session whose function has gone
 * holds its rows against their redelivery: it ends with the invocation, and in the middle of a COPY, where the server
 * has no timeout, a minute after the network has lost the function.
 */
export function beginStatement(deadline: Deadline): string {
  const remaining = Math.max(2, Math.floor(deadline.remaining()));
  const settings = [
    `statement_timeout = ${Math.floor(remaining / 2)}`,
    `idle_in_transaction_session_timeout = ${remaining}`,
    ...KEEPALIVES,
  ];
  return ['BEGIN', ...settings.map((setting) => `SET LOCAL ${setting}`)].join('; ');
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
