import { VizardError } from '../../../lambda/errors.ts';
import { provenKey } from '../../../lambda/masking/key-proof.ts';
import type { Keyset } from '../../../lambda/masking/keyset.ts';
import type { KnownProofs } from '../../../lambda/postgres/keys/check.ts';

/** The name of a key as it was given. What is no name may be material, so no error quotes it. @throws VizardError */
export function parseKid(text: string): string {
  if (/^[a-z][a-z0-9]{0,7}$/.test(text) && text !== 'primary') return text;
  throw new VizardError(
    `expected the name of a key, 1-8 characters a-z 0-9, a letter first, got ${text.length} characters; see \`vizard keys list\``,
  );
}

/** @throws VizardError where the keyset has no such key */
export function requireKey({ kids }: Keyset, kid: string): void {
  if (kids.includes(kid)) return;
  throw new VizardError(
    `key "${kid}": expected one of the keyset [${kids.join(', ')}]; see \`vizard keys list\``,
  );
}

/** The kids that a table was written with. */
export function writtenKids(proofs: KnownProofs): ReadonlySet<string> {
  return new Set([...proofs.keys()].map((kid) => provenKey(kid).kid));
}

/** Milliseconds since a time of the keyset, as ISO 8601 has it; undefined where there is none. */
export function ageOf(time: string | undefined): number | undefined {
  return time === undefined ? undefined : Date.now() - Date.parse(time);
}

/** `4 min 10 s`, `20 min`. */
export function renderTime(milliseconds: number): string {
  const seconds = Math.max(0, Math.ceil(milliseconds / 1_000));
  const parts = [
    [Math.floor(seconds / 60), 'min'],
    [seconds % 60, 's'],
  ] as const;
  return (
    parts
      .filter(([count]) => count > 0)
      .map(([count, unit]) => `${count} ${unit}`)
      .join(' ') || '0 s'
  );
}
