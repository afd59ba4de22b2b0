import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { MaskedColumn } from '../../../lambda/events/declaration.ts';
import { fieldParser } from '../../../lambda/events/fields.ts';
import { tokensOfValue } from '../../../lambda/masking/known-tokens.ts';
import { textMasker } from '../../support/tokens.ts';
import { sampleBytes } from './bytes.ts';
import { COLUMNS, deviceId, ip, KIDS, layeredKeyset, network, oracleTokens } from './layers.ts';

const keyset = layeredKeyset('k2');
const { s1, h1 } = oracleTokens;

describe('the tokens of a known value', () => {
  it.each(COLUMNS.map((column) => ({ name: column.column, column })))(
    'in $name are one for each key and scheme, as other code makes them',
    ({ column }) => {
      const length = column.type === 'address' ? { minLength: 16, maxLength: 16 } : { maxLength: 159 };
      fc.assert(
        fc.property(fc.uint8Array(length), (bytes) => {
          const value = new Uint8Array(bytes);
          const expected = KIDS.flatMap((kid) => [s1(kid, column, value), h1(kid, column, value)]);

          expect(tokensOfValue(keyset, column, value).toSorted()).toEqual(expected.toSorted());
        }),
        { numRuns: 50 },
      );
    },
  );

  it('have every token among them that the value ever got, whichever key was primary', () => {
    const value = sampleBytes(16, 'value');
    for (const column of COLUMNS) {
      const known = tokensOfValue(keyset, column, value);
      for (const primary of KIDS) {
        for (const masking of ['recoverable', 'irreversible'] as const) {
          expect(known).toContain(textMasker(layeredKeyset(primary), masking, column)([value])[0]);
        }
      }
    }
  });

  it('are the same for every spelling of it', () => {
    expect(known(ip, ' ::FFFF:203.0.113.7')).toEqual(known(ip, '203.0.113.7'));
    expect(known(ip, '2001:DB8:0:0:0:0:0:1')).toEqual(known(ip, '2001:db8::1'));
    expect(known(deviceId, ' Zoe\u0308 ')).toEqual(known(deviceId, 'Zo\u00eb'));
    expect(known(network, '203.0.113.7')).toEqual(known(network, '203.0.113.8'));
  });

  it('are those of no other value, and of no other column', () => {
    const all = [
      known(ip, '203.0.113.0'),
      known(ip, '203.0.113.7'),
      known(network, '203.0.113.0'),
      known(deviceId, '203.0.113.0'),
    ];

    expect(new Set(all.flat()).size).toBe(4 * 2 * KIDS.length);
  });
});

function known(column: MaskedColumn, text: string): string[] {
  return tokensOfValue(keyset, column, fieldParser(column)(text) as Uint8Array);
}
