import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientBase } from 'pg';
import { VizardError } from '../../errors.ts';

const LOCK = `hashtext('vizard rekey')`;

/** A session whose client was killed ends a moment later. */
const INTERVAL = 250;

/**
 * Takes the lock that excludes other rekeys, changes of the keys and erasures, until the session ends.
 *
 * @param patience milliseconds that whoever has it gets to end
 * @throws VizardError where somebody has it
 */
export async function lockRekeys(client: ClientBase, patience: number): Promise<void> {
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
