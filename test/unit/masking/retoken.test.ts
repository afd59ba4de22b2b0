import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KeysetError } from '../../../lambda/errors.ts';
import type { MaskedColumn } from '../../../lambda/events/declaration.ts';
import { parseKeyset } from '../../../lambda/masking/keyset.ts';
import { layersBetween, retokener } from '../../../lambda/masking/retoken.ts';
import { textMasker } from '../../support/tokens.ts';
import { hex, sampleBytes } from './bytes.ts';
import {
  COLUMNS,
  deviceId,
  ip,
  KIDS,
  type Kid,
  layeredKeyset,
  MATERIALS,
  network,
  oracleTokens,
} from './layers.ts';

const keyset = layeredKeyset('k3');
const { s1, h1 } = oracleTokens;

/** Values of a column, some of them twice. */
function valuesOf({ type }: MaskedColumn): fc.Arbitrary<Uint8Array[]> {
  const length = { minLength: 16, maxLength: 16 };
  const text = fc.string({ unit: 'binary', maxLength: 39 }).map((value) => new TextEncoder().encode(value));
  return fc
    .array(type === 'address' ? fc.uint8Array(length) : text, { minLength: 1, maxLength: 20 })
    .map((values) => [...values, values[0]!].map((value) => new Uint8Array(value)));
}

describe.each(COLUMNS.map((column) => ({ name: column.column, column })))('tokens of $name', ({ column }) => {
  const rotations = KIDS.flatMap((from) => KIDS.filter((to) => to !== from).map((to) => ({ from, to })));

  it.each(rotations)(
    'recoverable ones of $from become those of $to, as the masker makes them',
    ({ from, to }) => {
      const retoken = retokener(keyset, column, { from, to });
      const mask = textMasker(layeredKeyset(to), 'recoverable', column);
      fc.assert(
        fc.property(valuesOf(column), (values) => {
          const retokened = retoken(values.map((value) => s1(from, column, value)));

          expect(retokened).toEqual(values.map((value) => s1(to, column, value)));
          expect(retokened).toEqual(mask(values));
        }),
        { numRuns: 20 },
      );
    },
  );

  it.each<{ from: Kid; to: Kid }>([
    { from: 'k1', to: 'k2' },
    { from: 'k2', to: 'k3' },
    { from: 'k1', to: 'k3' },
  ])(
    'irreversible ones of $from become those of $to, which the masker makes of the clear values',
    (rotation) => {
      const { from, to } = rotation;
      const retoken = retokener(keyset, column, rotation);
      const mask = textMasker(layeredKeyset(to), 'irreversible', column);
      fc.assert(
        fc.property(valuesOf(column), (values) => {
          const retokened = retoken(values.map((value) => h1(from, column, value)));

          expect(retokened).toEqual(values.map((value) => h1(to, column, value)));
          expect(retokened).toEqual(mask(values));
        }),
        { numRuns: 50 },
      );
    },
  );

  it('are the same from the first key to the third, and by way of the second', () => {
    const tokens = Array.from({ length: 600 }, (_, i) => h1('k1', column, sampleBytes(16, i)));
    const step = (from: Kid, to: Kid) => (of: readonly string[]) =>
      retokener(keyset, column, { from, to })(of).map((token) => token ?? 'none');

    expect(step('k2', 'k3')(step('k1', 'k2')(tokens))).toEqual(step('k1', 'k3')(tokens));
  });

  it('are as many distinct ones as before', () => {
    const values = Array.from({ length: 3_000 }, (_, i) => Buffer.from(hex(sampleBytes(8, i % 1_000))));
    for (const make of [s1, h1]) {
      const tokens = values.map((value) => make('k1', column, value));
      const retokened = retokener(keyset, column, { from: 'k1', to: 'k2' })(tokens);

      expect(new Set(retokened).size).toBe(1_000);
      expect(retokened.every((token) => token?.startsWith(tokens[0]!.replace('k1', 'k2').slice(0, 6)))).toBe(
        true,
      );
    }
  });
});

describe('what is none of the old key', () => {
  const value = sampleBytes(16, 'value');
  const good = s1('k1', ip, value);

  it.each([
    ['no token', 'x'],
    ['empty', ''],
    ['of the new key already', s1('k2', ip, value)],
    ['irreversible and of the new key already', h1('k2', ip, value)],
    ['of a third key', s1('k4', ip, value)],
    ['of a key that is gone', good.replace('k1', 'k9')],
    ['of another column', s1('k1', deviceId, value)],
    ['of a network', s1('k1', network, value)],
    ['altered', `${good.slice(0, -2)}${good.at(-2) === 'A' ? 'B' : 'A'}${good.at(-1)}`],
    ['irreversible, and said to be recoverable', h1('k1', ip, value).replace('h1', 's1')],
    ['irreversible and cut off', h1('k1', ip, value).slice(0, -4)],
  ])('gets no token, and those beside it get theirs: %s', (_name, token) => {
    const retoken = retokener(keyset, ip, { from: 'k1', to: 'k2' });

    expect(retoken([good, token, h1('k1', ip, value)])).toEqual([
      s1('k2', ip, value),
      undefined,
      h1('k2', ip, value),
    ]);
  });

  it('may be all of it, or nothing at all', () => {
    const retoken = retokener(keyset, ip, { from: 'k1', to: 'k2' });

    expect(retoken([])).toEqual([]);
    expect(retoken(['x', 'y'])).toEqual([undefined, undefined]);
  });
});

describe('layers', () => {
  it.each<[Kid, Kid, string[] | undefined]>([
    ['k1', 'k2', ['k2']],
    ['k2', 'k3', ['k3']],
    ['k1', 'k3', ['k2', 'k3']],
    ['k2', 'k1', undefined],
    ['k3', 'k1', undefined],
    ['k1', 'k4', undefined],
    ['k4', 'k3', undefined],
  ])('from %s to %s are %j', (from, to, layers) => {
    expect(layersBetween(keyset, { from, to })).toEqual(layers);
  });

  it.each<{ from: Kid; to: Kid }>([
    { from: 'k1', to: 'k4' },
    { from: 'k2', to: 'k1' },
  ])('that there are none of make irreversible tokens of $from final, and leave others', ({ from, to }) => {
    const value = sampleBytes(16, 'value');
    const retoken = retokener(keyset, ip, { from, to });

    expect(retoken([s1(from, ip, value)])).toEqual([s1(to, ip, value)]);
    expect(() => retoken([s1(from, ip, value), h1(from, ip, value)])).toThrow(
      new KeysetError(
        `irreversible tokens of key "${from}" expected a key that is layered over it, got "${to}"; nobody can rewrite them`,
      ),
    );
  });
});

describe('a rotation', () => {
  const only = parseKeyset(JSON.stringify({ primary: 'k2', k2: MATERIALS.k2 }));

  it.each([
    { from: 'k1', to: 'k2', missing: 'k1' },
    { from: 'k2', to: 'k1', missing: 'k1' },
  ])('from $from to $to is refused at once where the keyset lacks $missing', ({ from, to, missing }) => {
    expect(() => retokener(only, ip, { from, to })).toThrow(
      new KeysetError(`keyset: has no key "${missing}"`),
    );
  });
});
