import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientBase } from 'pg';
import { VizardError } from '../../errors.ts';

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
      `SELECT pg_try_advisory_lock(hashtext('vizard rekey')) AS locked`,
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
