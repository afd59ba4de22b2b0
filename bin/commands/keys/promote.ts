import { VizardError } from '../../../lambda/errors.ts';
import { type Keyset, parseKeyset } from '../../../lambda/masking/keyset.ts';
import { layersBetween } from '../../../lambda/masking/retoken.ts';
import { dropFormerAliases, fillAliases } from '../../../lambda/postgres/rekey/aliases.ts';
import { requireRekeyTables } from '../../../lambda/postgres/rekey/tables.ts';
import { MAX_SECRET_AGE } from '../../../lambda/secret-age.ts';
import { promoteKey, topLayer, wasPrimary } from '../../keys/keyset-edit.ts';
import { type Change, type ChangeOptions, changeKeyset, type Situation } from './change.ts';
import { countRows } from './in-use.ts';
import { ageOf, parseKid, renderTime, requireKey, writtenKids } from './kid.ts';

export interface PromoteOptions extends ChangeOptions {
  readonly now: boolean;
}

/** `vizard keys promote`: new tokens are made with the key from now on. */
export async function promote(name: string, options: PromoteOptions): Promise<number> {
  const kid = parseKid(name);
  return changeKeyset('keys promote', options, async (situation) => {
    const { client, declaration, keyset, text, proofs } = situation;
    const { primary } = keyset;
    requireKey(keyset, kid);
    await requireRekeyTables(client, declaration);
    if (primary === kid) return promoteAgain(situation);
    requirePromotable(keyset, kid, options.now);
    const isNew = !wasPrimary(keyset, kid, writtenKids(proofs));
    const promoted = promoteKey(text, { kid, over: isNew ? topLayer(keyset) : undefined });
    const next = parseKeyset(promoted);
    await requireLayers(situation, next);
    const { over } = next.facts(kid);
    return {
      kid,
      text: promoted,
      outcome: `key "${kid}" is primary${over === undefined ? '' : `, layered over "${over}" where tokens are irreversible`}`,
      next: [
        'wait five minutes, until functions have taken it over',
        `vizard keys promote ${kid}, once more: values that first came in under "${primary}" since this command began are two in the views until then, or until the rekey`,
        `vizard rekey --from ${primary} --to ${kid}`,
      ],
      details: { previous: primary, over: over ?? null },
      prepare: () => alias(situation, next),
      complete: () => dropFormerAliases(client, declaration, kid),
    };
  });
}

/** For a promotion that was cut off, and for values that first came in under an older key since. */
async function promoteAgain(situation: Situation): Promise<Change> {
  const { client, declaration, keyset, text } = situation;
  await requireLayers(situation, keyset);
  return {
    kid: keyset.primary,
    text,
    outcome: `key "${keyset.primary}" is primary already; aliases added for the tokens of older keys that had none`,
    next: [],
    prepare: () => alias(situation, keyset),
    complete: () => dropFormerAliases(client, declaration, keyset.primary),
  };
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

/** @throws VizardError where the table has irreversible tokens that would never join those of the new key */
async function requireLayers(situation: Situation, next: Keyset): Promise<void> {
  const counts = await countRows(situation);
  const apart = counts.find(
    ({ kid, scheme }) =>
      scheme === 'h1' &&
      next.kids.includes(kid) &&
      layersBetween(next, { from: kid, to: next.primary }) === undefined,
  );
  if (apart === undefined) return;
  throw new VizardError(
    `key "${next.primary}": expected one that is layered over key "${apart.kid}", because ${situation.declaration.table} has irreversible tokens of it, got one that is not: equal values would be two; promote a new key, which \`vizard keys add\` makes`,
  );
}

/** Before the first token under the new key: a value that was seen before is never two for those who join. */
async function alias({ client, declaration, keyset, progress }: Situation, next: Keyset): Promise<void> {
  const rotation = { from: keyset.primary, to: next.primary };
  await fillAliases(client, declaration, next, rotation, progress);
}
