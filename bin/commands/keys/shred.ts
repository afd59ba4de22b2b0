import { VizardError } from '../../../lambda/errors.ts';
import { MAX_SECRET_AGE } from '../../../lambda/secret-age.ts';
import { shredKey } from '../../keys/keyset-edit.ts';
import type { KeysetStore } from '../../keys/keyset-store.ts';
import { type ChangeOptions, changeKeyset, requireAnswer, type Situation } from './change.ts';
import { layeredOver, requireUnused } from './in-use.ts';
import { ageOf, parseKid, renderTime, requireKey } from './kid.ts';

export interface ShredOptions extends ChangeOptions {
  readonly yes: boolean;
  readonly now: boolean;
}

/** Milliseconds. The longest that Lambda lets an invocation last: it ends with the keyset that it began with. */
const LONGEST_INVOCATION = 900_000;
const SETTLED = MAX_SECRET_AGE + LONGEST_INVOCATION;

/** `vizard keys shred`: takes a retired key out of the keyset for good. */
export async function shred(name: string, options: ShredOptions): Promise<number> {
  const kid = parseKid(name);
  requireAnswer('keys shred', options);
  return changeKeyset('keys shred', options, async (situation) => {
    const { keyset, text, store } = situation;
    requireKey(keyset, kid);
    requireRetired(situation, kid, options.now);
    const counts = await requireUnused(situation, kid);
    const above = layeredOver(situation, kid, counts);
    if (above !== undefined) throw needed(kid, above);
    return {
      kid,
      text: shredKey(text, kid),
      question: `Shred key "${kid}" of ${store.name}? Tokens of it in backups and exports can never be recovered then, by nobody.`,
      outcome: `key "${kid}" shredded; tokens of it in backups and exports can never be recovered`,
      next: [remainders(store)],
      complete: () => forget(store, kid),
    };
  });
}

/** What is not in our hands. */
function remainders({ kind }: KeysetStore): string {
  return kind === 'secret'
    ? 'versions of the secret without a label still hold the key until AWS removes them; copies of the secret elsewhere are yours to delete'
    : 'copies and backups of the keyset file still hold the key: delete them, or make them anew';
}

async function forget(store: KeysetStore, kid: string): Promise<void> {
  try {
    await store.forgetPrevious();
  } catch (error) {
    if (!(error instanceof VizardError)) throw error;
    throw new VizardError(
      `key "${kid}" is out of the keyset, but the version AWSPREVIOUS of the secret still holds it; change the secret once more, such as by \`vizard keys add\` (${error.message})`,
    );
  }
}

function requireRetired({ keyset }: Situation, kid: string, now: boolean): void {
  const age = ageOf(keyset.facts(kid).retired);
  if (age === undefined) {
    throw new VizardError(
      `key "${kid}": expected one that is retired, got one that is not; run \`vizard keys retire ${kid}\` first`,
    );
  }
  if (now || age >= SETTLED) return;
  throw new VizardError(
    `key "${kid}": expected one that was retired ${renderTime(SETTLED)} ago, until when functions may still end what they began with it, got ${renderTime(age)}; wait, or pass --now`,
  );
}

function needed(kid: string, above: string): VizardError {
  return new VizardError(
    `key "${kid}": expected one that no other needs, got one that irreversible tokens of key "${above}" are layered over, new ones too; it stays for good`,
  );
}
