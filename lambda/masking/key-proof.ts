import {
  isMasked,
  type MaskedTextColumn,
  type Masking,
  type TableDeclaration,
} from '../events/declaration.ts';
import { packCells } from './cells.ts';
import type { Keyset } from './keyset.ts';
import { layerMasker, schemeOf, valueMasker } from './masker.ts';
import type { Token } from './tokens.ts';

/** What a table remembers of a key that it was written with: whatever makes other tokens has another proof. */
export interface KeyProof {
  /** The kid; with `h1~` before it the proof is of the key and of all that it is layered over. */
  readonly kid: string;
  /** The irreversible token of a constant, whatever the scheme of the table's columns. */
  readonly proof: Token;
}

/** No column may be of it: a proof is the token of no event's value. */
export const PROOF_DOMAIN = 'key_proof';

const COLUMN: MaskedTextColumn = {
  column: 'proof',
  source: [],
  type: 'text',
  mask: { domain: PROOF_DOMAIN },
};

/** Its tokens stand in tables: were it to change, no key would pass for the one that wrote them. */
const PROVEN = new TextEncoder().encode('vizard');
const LAYERED = 'h1~';

/** The proof of a key alone, whatever it is layered over. @throws KeysetError when the keyset has no such kid */
export function proveKey(keyset: Keyset, kid: string = keyset.primary): KeyProof {
  return { kid, proof: layerMasker(keyset, COLUMN, kid)(packCells([PROVEN])).at(0)! };
}

/** The proof of a key and of all that lies below it: the token as irreversible columns have it. */
export function proveLayers(keyset: Keyset, kid: string): KeyProof {
  return { kid: `${LAYERED}${kid}`, proof: valueMasker(keyset, 'h1', COLUMN, kid)([PROVEN]).at(0)! };
}

/**
 * Proofs of the key that new tokens are made with: of itself, and where columns are irreversible, of its layers, so that
 * other tokens are known as such whichever part of the keyset was lost.
 *
 * @param masking the scheme of columns whose declaration does not fix one
 */
export function proveKeys(
  keyset: Keyset,
  masking: Masking,
  declaration: TableDeclaration,
): readonly KeyProof[] {
  const columns = declaration.columns.filter(isMasked);
  const irreversible = columns.some((column) => schemeOf(column, masking) === 'h1');
  const proof = proveKey(keyset);
  return irreversible ? [proof, proveLayers(keyset, keyset.primary)] : [proof];
}

/** The key that a proof is of. @param kid of a KeyProof */
export function provenKey(kid: string): { readonly kid: string; readonly layered: boolean } {
  const layered = kid.startsWith(LAYERED);
  return { kid: layered ? kid.slice(LAYERED.length) : kid, layered };
}
