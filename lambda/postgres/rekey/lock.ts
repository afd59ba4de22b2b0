import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientBase } from 'pg';
import { VizardError } from '../../errors.ts';

const LOCK = `hashtext('vizard rekey')`;

/** A session whose client was killed ends a moment later. */
const INTERVAL = 250;

/**
 * Takes the lock that excludes other rekeys, changes of the keys and erasures, until the session ends. Before anything is set
 * for the session.
 *
 * @param patience milliseconds that whoever has it gets to end
 * @throws VizardError where somebody has it, or the session is not ours
 */
export async function lockRekeys(client: ClientBase, patience: number): Promise<void> {
  await requireOwnSession(client);
  const end = performance.now() + patience;
  for (;;) {
    const { rows } = await client.query<{ locked: boolean }>(
      `SELECT pg_try_advisory_lock(${LOCK}) AS locked`,
    );
    if (rows[0]!.locked) return;
    if (performance.now() > end) {
      throw new VizardError(
        'another rekey, a change of the keys or an erasure is under way; nothing was changed, wait until it has ended',
      );
    }
    await sleep(INTERVAL);
  }
}

/**
 * What pools connections hands a session on to others, with its locks and settings. It names a process at the start that is
 * not the server's.
 */
async function requireOwnSession(client: ClientBase): Promise<void> {
  // What the server's BackendKeyData says; the types of pg leave it out.
  const { processID } = client as ClientBase & { readonly processID: number | null };
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  if (rows[0]!.pid === processID) return;
  throw new VizardError(
    'the database: expected a connection to the server itself, whose session is ours until the command ends, got one through a pooler (such as PgBouncer or RDS Proxy); nothing was changed, give --database-url of the server',
  );
}

/**
 * Keeps rekeys and changes of the keys out until the transaction ends: they change the tokens by which it finds rows.
 *
 * @throws VizardError where one is under way
 */
export async function excludeRekeys(client: ClientBase): Promise<void> {
  const { rows } = await client.query<{ free: boolean }>(
    `SELECT pg_try_advisory_xact_lock_shared(${LOCK}) AS free`,
  );
  if (!rows[0]!.free)
    throw new VizardError(
      'a rekey or a change of the keys is under way; nothing was changed: run it again when that has ended',
    );
}
