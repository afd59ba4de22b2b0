import { KeysetError } from '../errors.ts';
import type { MaskedColumn } from '../events/declaration.ts';
import { packCells } from './cells.ts';
import type { Keyset, Scheme } from './keyset.ts';
import { layerMasker, valueMasker } from './masker.ts';
import { openTokens } from './open-tokens.ts';
import { parseToken, type Token, type Tokens } from './tokens.ts';

/** From one key of the keyset to another. */
export interface Rotation {
  readonly from: string;
  readonly to: string;
}

/** @returns for each token the one under the new key of the same value; undefined for what is none of the old key */
export type Retokener = (tokens: readonly string[]) => (Token | undefined)[];

/**
 * The keys whose layers make irreversible tokens of the one key into those of the other, the lowest first.
 *
 * @returns undefined where the other is not layered over the one: nobody can rewrite them then
 */
export function layersBetween(keyset: Keyset, { from, to }: Rotation): string[] | undefined {
  const layers: string[] = [];
  for (let kid: string | undefined = to; kid !== undefined; kid = keyset.facts(kid).over) {
    if (kid === from) return layers;
    layers.unshift(kid);
  }
  return undefined;
}

/**
 * Turns tokens of a column under one key into those that the same values get under another. Recoverable ones are opened
 * and sealed again; irreversible ones, whose value nobody knows, get further layers.
 *
 * @throws KeysetError where the keyset lacks a key; at a call, where irreversible tokens are to be rewritten for a key that
 *   is not layered over theirs
 */
export function retokener(keyset: Keyset, column: MaskedColumn, rotation: Rotation): Retokener {
  const schemes: Readonly<Record<Scheme, Retokener>> = {
    s1: sealAgain(keyset, column, rotation),
    h1: addLayers(keyset, column, rotation),
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

function addLayers(keyset: Keyset, column: MaskedColumn, { from, to }: Rotation): Retokener {
  const layers = layersBetween(keyset, { from, to })?.map((kid) => layerMasker(keyset, column, kid));
  return (tokens) => {
    if (layers === undefined) {
      throw new KeysetError(
        `irreversible tokens of key "${from}" expected a key that is layered over it, got "${to}"; nobody can rewrite them`,
      );
    }
    let cells = packCells(tokens.map((token) => Buffer.from(token)));
    let rewritten: Tokens | undefined;
    for (const layer of layers) {
      rewritten = layer(cells);
      cells = rewritten.toCells();
    }
    return tokens.map((_, row) => rewritten?.at(row) ?? undefined);
  };
}
