import { VizardError } from '../../../lambda/errors.ts';
import { proveKey, proveLayers } from '../../../lambda/masking/key-proof.ts';
import { type Keyset, parseKeyset } from '../../../lambda/masking/keyset.ts';
import { checkKeys } from '../../../lambda/postgres/key-check.ts';
import { fillAliases } from '../../../lambda/postgres/rekey/aliases.ts';
import { MAX_SECRET_AGE } from '../../../lambda/secret-age.ts';
import { promoteKey, wasPrimary } from '../../keys/keyset-edit.ts';
import { type ChangeOptions, changeKeyset, type Situation } from './change.ts';
import { ageOf, parseKid, renderTime, requireKey, writtenKids } from './kid.ts';

export interface PromoteOptions extends ChangeOptions {
  readonly now: boolean;
}

/** `vizard keys promote`: new tokens are made with the key from now on. */
export async function promote(name: string, options: PromoteOptions): Promise<number> {
  const kid = parseKid(name);
  return changeKeyset('keys promote', options, async (situation) => {
    const { keyset, text, proofs } = situation;
    const { primary } = keyset;
    requireKey(keyset, kid);
    if (primary === kid) return { kid, already: `key "${kid}" is primary already` };
    requirePromotable(keyset, kid, options.now);
    const isNew = !wasPrimary(keyset, kid, writtenKids(proofs));
    const promoted = promoteKey(text, { kid, over: isNew ? primary : undefined });
    const next = parseKeyset(promoted);
    await requireProofs(situation, next);
    const { over } = next.facts(kid);
    return {
      kid,
      text: promoted,
      outcome: `key "${kid}" is primary${over === undefined ? '' : `, layered over "${over}" where tokens are irreversible`}`,
      next: [
        'wait five minutes, until functions have taken it over',
        `vizard rekey --from ${primary} --to ${kid}`,
      ],
      details: { previous: primary, over: over ?? null },
      prepare: () => alias(situation, next),
    };
  });
}

function requirePromotable(keyset: Keyset, kid: string, now: boolean): void {
  const { retired, added } = keyset.facts(kid);
  if (retired !== undefined) {
    throw new VizardError(
      `key "${kid}": expected one that is in use or new, got one that was retired; add another with \`vizard keys add\``,
    );
  }
  const age = ageOf(added);
  if (now || age === undefined || age >= MAX_SECRET_AGE) return;
  throw new VizardError(
    `key "${kid}": expected one that was added ${renderTime(MAX_SECRET_AGE)} ago, so that every function knows it before the first one writes with it, got ${renderTime(age)}; wait, or pass --now`,
  );
}

/** All keys, because one that is not the table's own could open none of its tokens. @throws KeysetFailure */
async function requireProofs({ client, declaration }: Situation, next: Keyset): Promise<void> {
  const proofs = next.kids.map((kid) => proveKey(next, kid));
  await checkKeys(client, declaration, [...proofs, proveLayers(next, next.primary)]);
}

/** Before the first token under the new key: a value that was seen before is never two for those who join. */
async function alias({ client, declaration, keyset, progress }: Situation, next: Keyset): Promise<void> {
  const rotation = { from: keyset.primary, to: next.primary };
  await fillAliases(client, declaration, next, rotation, progress);
}
