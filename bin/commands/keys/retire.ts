import { VizardError } from '../../../lambda/errors.ts';
import { retireKey } from '../../keys/keyset-edit.ts';
import { type ChangeOptions, changeKeyset } from './change.ts';
import { layeredOver, requireUnused } from './in-use.ts';
import { parseKid, requireKey } from './kid.ts';

/** `vizard keys retire`: nothing in the table is under the key any more; it stays for backups and exports. */
export async function retire(name: string, options: ChangeOptions): Promise<number> {
  const kid = parseKid(name);
  return changeKeyset('keys retire', options, async (situation) => {
    const { keyset, text } = situation;
    requireKey(keyset, kid);
    if (keyset.facts(kid).retired !== undefined) return { kid, already: `key "${kid}" is retired already` };
    if (keyset.primary === kid) throw isPrimary(kid);
    const counts = await requireUnused(situation, kid);
    const above = layeredOver(situation, kid, counts);
    return {
      kid,
      text: retireKey(text, { kid, now: new Date() }),
      outcome: `key "${kid}" retired; tokens of it in backups and exports can still be recovered`,
      next: [
        above === undefined
          ? `when no backup and no export is needed that holds tokens of it: vizard keys shred ${kid}`
          : `nothing: irreversible tokens of key "${above}" are layered over it, so it stays for good`,
      ],
    };
  });
}

function isPrimary(kid: string): VizardError {
  return new VizardError(
    `key "${kid}": expected one that no new token is made with, got the primary one; promote another first`,
  );
}
