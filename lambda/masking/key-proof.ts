import type { MaskedTextColumn } from '../events/declaration.ts';
import { packCells } from './cells.ts';
import type { Keyset } from './keyset.ts';
import { layerMasker } from './masker.ts';
import type { Token } from './tokens.ts';

/** What a table remembers of a key that it was written with: other material under the same name has another proof. */
export interface KeyProof {
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

/** The proof of the key that new tokens are made with. */
export function proveKey(keyset: Keyset): KeyProof {
  const proof = layerMasker(keyset, COLUMN, keyset.primary)(packCells([PROVEN])).at(0)!;
  return { kid: keyset.primary, proof };
}
