import { deadlineOf, type InvocationClock } from './deadline.ts';
import type { TableDeclaration } from './events/declaration.ts';
import { parseBatch } from './events/parse.ts';
import { probeRecord } from './events/probe-event.ts';
import type { Resources } from './function.ts';
import { type Log, reportFailure } from './log.ts';
import { createSealer } from './masking/sealer.ts';
import { createSealerMemory } from './masking/sealer-memory.ts';
import { tableMasker } from './masking/table-masker.ts';
import { RESUME_TIME, withClient } from './postgres/connection.ts';
import { probeWrite } from './postgres/write/probe.ts';

/**
 * Tries what an invocation needs for one event: keyset, parsing, masking, login, the check of the keys, both statements and a
 * commit. Nothing of it stays in the table.
 *
 * @returns a function that throws VizardError where a batch would fail now
 */
export function createWriteProbe(
  declaration: TableDeclaration,
  { login, keyset, masking, recoveryKey }: Resources,
  log: Log,
): (event: unknown, context?: InvocationClock) => Promise<void> {
  const sealer = recoveryKey && createSealer(declaration, masking, recoveryKey, createSealerMemory());
  return async (_event, context) => {
    const deadline = deadlineOf(context);
    try {
      const { mask, keys } = tableMasker(await keyset({ fresh: true }), masking, declaration);
      const [chunk] = parseBatch(declaration, [probeRecord(declaration)]);
      if (chunk?.events.length !== 1) throw new TypeError('the declaration rejects the event of the probe');
      const sealing = sealer?.begin();
      const row = mask(chunk, sealing);
      sealing?.end();
      // A connection of its own: one that was kept says nothing of whether there are others to be had.
      await withClient(login, (client) => probeWrite(client, declaration, { keys, row }, deadline), {
        patience: RESUME_TIME,
        deadline,
      });
      log.info('probe succeeded', {});
    } catch (error) {
      throw reportFailure(log, error);
    }
  };
}
