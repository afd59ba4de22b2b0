import { VizardError } from '../../lambda/errors.ts';
import { type Keyset, parseKeyset } from '../../lambda/masking/keyset.ts';

/**
 * Changes of a keyset's text. What a change does not name stays as it is, and where it is; each result is read before it
 * is returned, so that no function meets a keyset that it can't read.
 */

type Members = Record<string, string>;

/** Adds a key, which is not primary yet. @param material at least 43 characters @param now its age counts from */
export function addKey(
  text: string,
  { kid, material, now }: { readonly kid: string; readonly material: string; readonly now: Date },
): string {
  if (parseKeyset(text).kids.includes(kid)) throw new VizardError(`key "${kid}": the keyset has it already`);
  return edit(text, { set: { [kid]: material, [`${kid}.added`]: now.toISOString() } });
}

/**
 * Makes a key the one of new tokens.
 *
 * @param over the key that its irreversible tokens are layered over from now on: at its first promotion topLayer, later and
 *   for one that wrote before undefined, which leaves it as it is
 */
export function promoteKey(
  text: string,
  { kid, over }: { readonly kid: string; readonly over: string | undefined },
): string {
  return edit(text, { set: { primary: kid, ...(over === undefined ? {} : { [`${kid}.over`]: over }) } });
}

/** Notes that no row is under a key any more. */
export function retireKey(text: string, { kid, now }: { readonly kid: string; readonly now: Date }): string {
  return edit(text, { set: { [`${kid}.retired`]: now.toISOString() } });
}

/** Takes a key out, with all that is said of it, and the layers that keys have over it. */
export function shredKey(text: string, kid: string): string {
  const isOfKey = ([name, value]: readonly [string, string]) =>
    name === kid || name.startsWith(`${kid}.`) || (name.endsWith('.over') && value === kid);
  return edit(text, { remove: isOfKey });
}

function edit(
  text: string,
  { set = {}, remove = () => false }: { set?: Members; remove?: (member: [string, string]) => boolean },
): string {
  parseKeyset(text);
  const members = Object.entries(JSON.parse(text) as Members).filter((member) => !remove(member));
  const edited = `${JSON.stringify({ ...Object.fromEntries(members), ...set })}${text.endsWith('\n') ? '\n' : ''}`;
  parseKeyset(edited);
  return edited;
}

/** The highest N for which k<N> is a name. */
const LAST_NUMBER = 9_999_999;

/**
 * The first k<N> after all that were ever used.
 *
 * @param used names, of which others than k<N> do not count
 * @throws VizardError where there is none after them
 */
export function nextKid(used: Iterable<string>): string {
  const numbers = [...used].map((kid) => Number(/^k(\d{1,7})$/.exec(kid)?.[1] ?? 0));
  const last = Math.max(0, ...numbers);
  if (last < LAST_NUMBER) return `k${last + 1}`;
  throw new VizardError(
    `name of the new key: expected room for a k<number> after all that were used, got k${LAST_NUMBER}, the last there is; name the key: vizard keys add <kid>`,
  );
}

/** `new` keys have never made a token, `old` ones have, and may have some in the table. */
export type KeyStatus = 'new' | 'primary' | 'old' | 'retired';

/** Where a key is in its life. @param written the kids that the table was written with */
export function statusOf(keyset: Keyset, kid: string, written: ReadonlySet<string>): KeyStatus {
  if (keyset.primary === kid) return 'primary';
  if (keyset.facts(kid).retired !== undefined) return 'retired';
  return wasPrimary(keyset, kid, written) ? 'old' : 'new';
}

/** Whether tokens may have been made with a key: it wrote the table, or a promotion has named it. */
export function wasPrimary(keyset: Keyset, kid: string, written: ReadonlySet<string>): boolean {
  return (
    keyset.primary === kid ||
    written.has(kid) ||
    keyset.facts(kid).over !== undefined ||
    keyset.kids.some((other) => keyset.facts(other).over === kid)
  );
}

/**
 * The key that a new one is layered over: the highest above the primary, which is the primary itself unless it was promoted
 * again. Functions may still write with those above it, and their tokens have to stay below the new ones.
 */
export function topLayer(keyset: Keyset): string {
  return keysAbove(keyset, keyset.primary).at(-1) ?? keyset.primary;
}

/** The keys whose irreversible tokens are layered over those of a key, directly or further, the highest last. */
export function keysAbove(keyset: Keyset, kid: string): string[] {
  const above = keyset.kids.filter((other) => keyset.facts(other).over === kid);
  return [...above, ...above.flatMap((other) => keysAbove(keyset, other))];
}
