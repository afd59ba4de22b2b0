import { randomBytes } from 'node:crypto';
import { VizardError } from '../../../lambda/errors.ts';
import { readShreddedKids } from '../../../lambda/postgres/keys/shredded.ts';
import { addKey, nextKid } from '../../keys/keyset-edit.ts';
import { type ChangeOptions, changeKeyset } from './change.ts';
import { parseKid, writtenKids } from './kid.ts';

/** 384 bits: 64 characters of base64url. */
const MATERIAL_BYTES = 48;

/** `vizard keys add`: a new key, which no function uses before it is promoted. */
export async function add(name: string | undefined, options: ChangeOptions): Promise<number> {
  const given = name === undefined ? undefined : parseKid(name);
  return changeKeyset('keys add', options, async ({ client, keyset, text, proofs }) => {
    const used = new Set([...writtenKids(proofs), ...(await readShreddedKids(client))]);
    const kid = given ?? nextKid([...keyset.kids, ...used]);
    if (!keyset.kids.includes(kid) && used.has(kid)) throw usedBefore(kid);
    const material = randomBytes(MATERIAL_BYTES).toString('base64url');
    return {
      kid,
      text: addKey(text, { kid, material, now: new Date() }),
      outcome: `key "${kid}" added; new tokens are still made with "${keyset.primary}"`,
      next: [
        'make a copy of the keyset where its copies are kept',
        `in five minutes, when every function knows it: vizard keys promote ${kid}`,
      ],
    };
  });
}

function usedBefore(kid: string): VizardError {
  return new VizardError(
    `key "${kid}": expected a name that was never used, got one that the table was written with or that was shredded; give the new key another`,
  );
}
