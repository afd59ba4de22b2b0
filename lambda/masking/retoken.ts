import { KeysetError } from '../errors.ts';
import type { MaskedColumn } from '../events/declaration.ts';
import { packCells } from './cells.ts';
import type { Keyset, Scheme } from './keyset.ts';
import { layerMasker, valueMasker } from './masker.ts';
import { openTokens } from './open-tokens.ts';
import { parseToken, type Token } from './tokens.ts';

/** From one key of the keyset to another. */
export interface Rotation {
  readonly from: string;
  readonly to: string;
}

/** @returns for each token the one under the new key of the same value; undefined for what is none of the old key */
export type Retokener = (tokens: readonly string[]) => (Token | undefined)[];

/** True where irreversible tokens of the one key can become those of the other: new ones are layered over them. */
export function isLayered(keyset: Keyset, { from, to }: Rotation): boolean {
  return keyset.facts(to).over === from;
}

/**
 * Turns tokens of a column under one key into those that the same values get under another. Recoverable ones are opened
 * and sealed again; irreversible ones, whose value nobody knows, get another layer.
 *
 * @throws KeysetError where the keyset lacks a key; at a call, where irreversible tokens are to be rewritten for a key that
 *   is not layered over theirs
 */
export function retokener(keyset: Keyset, column: MaskedColumn, rotation: Rotation): Retokener {
  const schemes: Readonly<Record<Scheme, Retokener>> = {
    s1: sealAgain(keyset, column, rotation),
    h1: addLayer(keyset, column, rotation),
  };
  return (tokens) => {
    const retokened = new Array<Token | undefined>(tokens.length).fill(undefined);
    const parsed = tokens.map(parseToken);
    for (const scheme of ['s1', 'h1'] as const) {
      const places = [...parsed.keys()].filter(
        (place) => parsed[place]?.scheme === scheme && parsed[place].kid === rotation.from,
      );
      if (places.length === 0) continue;
      const rewritten = schemes[scheme](places.map((place) => tokens[place]!));
      for (const [i, place] of places.entries()) retokened[place] = rewritten[i];
    }
    return retokened;
  };
}

function sealAgain(keyset: Keyset, column: MaskedColumn, { from, to }: Rotation): Retokener {
  keyset.derive('s1', from);
  const mask = valueMasker(keyset, 's1', column, to);
  return (tokens) => {
    const values = openTokens(keyset, [column], tokens).map((opened) =>
      opened.kind === 'opened' ? opened.value : null,
    );
    const present = values.filter((value) => value !== null);
    const sealed = mask(present).spread(values.map((value) => value !== null));
    return [...sealed].map((token) => token ?? undefined);
  };
}

function addLayer(keyset: Keyset, column: MaskedColumn, { from, to }: Rotation): Retokener {
  const layer = layerMasker(keyset, column, to);
  return (tokens) => {
    if (!isLayered(keyset, { from, to })) {
      throw new KeysetError(
        `irreversible tokens of key "${from}" expected a key that is layered over it, got "${to}"; nobody can rewrite them`,
      );
    }
    return [...layer(packCells(tokens.map((token) => Buffer.from(token))))].map(
      (token) => token ?? undefined,
    );
  };
}
