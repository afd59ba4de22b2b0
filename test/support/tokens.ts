import type { MaskedColumn, Masking } from '../../lambda/events/declaration.ts';
import type { Keyset } from '../../lambda/masking/keyset.ts';
import { columnMasker } from '../../lambda/masking/masker.ts';
import type { Token } from '../../lambda/masking/tokens.ts';

/** The masker of a column, with its tokens as texts. */
export function textMasker(
  keyset: Keyset,
  masking: Masking,
  column: MaskedColumn,
): (values: readonly (Uint8Array | null)[]) => (Token | null)[] {
  const mask = columnMasker(keyset, masking, column);
  return (values) => [...mask(values)];
}
