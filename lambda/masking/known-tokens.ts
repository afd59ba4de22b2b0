import type { MaskedColumn } from '../events/declaration.ts';
import type { Keyset } from './keyset.ts';
import { valueMasker } from './masker.ts';
import type { Token } from './tokens.ts';

/** Every token that a known value can have in a column: under each key of the keyset, in each scheme. */
export function tokensOfValue(keyset: Keyset, column: MaskedColumn, value: Uint8Array): Token[] {
  return keyset.kids.flatMap((kid) =>
    (['s1', 'h1'] as const).map((scheme) => valueMasker(keyset, scheme, column, kid)([value]).at(0)!),
  );
}
