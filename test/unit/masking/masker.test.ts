import { describe, expect, it } from 'vitest';
import {
  isMasked,
  type Mask,
  type MaskedColumn,
  type Masking,
  type TableDeclaration,
} from '../../../lambda/events/declaration.ts';
import { loginEvents } from '../../../lambda/events/login-event.ts';
import { parseKeyset } from '../../../lambda/masking/keyset.ts';
import { unmask } from '../../../lambda/masking/masker.ts';
import { KEYSET_JSON } from '../../support/records.ts';
import { textMasker as columnMasker } from '../../support/tokens.ts';
import { fromHex, hex, hexAll, sampleBytes, sampleText } from './bytes.ts';
import { irreversibleToken, recoverableToken } from './oracles.ts';

const keyset = parseKeyset(KEYSET_JSON);
const K1 = { kid: 'k1', material: 'a'.repeat(43) };
const K2 = { kid: 'k2', material: 'b'.repeat(43) };
/** The same keys, the other one primary. */
const rotated = parseKeyset(JSON.stringify({ primary: 'k2', k1: K1.material, k2: K2.material }));

const declaration: TableDeclaration = loginEvents;
const ip = maskedColumn('masked_ip');
const deviceId = maskedColumn('masked_device_id');

const manyAddresses = Array.from({ length: 10_000 }, (_, i) => sampleBytes(16, `address ${i}`));
const addresses = (count: number) => manyAddresses.slice(0, count);
/** Texts of every length that a token has room for; those of 8 bytes and more are distinct. */
const manyTexts = Array.from({ length: 10_000 }, (_, i) => sampleText(i % 160, `text ${i}`));
const texts = (count: number) => manyTexts.slice(0, count);

const columns = [
  { name: 'masked_ip', column: ip, values: addresses },
  { name: 'masked_device_id', column: deviceId, values: texts },
];
const maskings = [
  { masking: 'recoverable', scheme: 's1', oracle: recoverableToken },
  { masking: 'irreversible', scheme: 'h1', oracle: irreversibleToken },
] as const;
const everyColumnAndMasking = columns.flatMap((column) =>
  maskings.map((masking) => ({ ...column, ...masking })),
);

describe.each(everyColumnAndMasking)(
  '$masking tokens of $name',
  ({ column, values, masking, scheme, oracle }) => {
    const mask = columnMasker(keyset, masking, column);
    const batch = values(10_000);
    const tokens = mask(batch);

    it('are those of the design, made by other code', () => {
      expect(tokens.slice(0, 640)).toEqual(batch.slice(0, 640).map((value) => oracle(K1, column, value)));
    });

    it('are the same alone and in a batch of 10,000', () => {
      const alone = batch.slice(-500).flatMap((value) => mask([value]));
      expect(alone).toEqual(tokens.slice(-500));
    });

    it.each([50, 3_333])('are the same in chunks of %i', (size) => {
      const chunks: (string | null)[] = [];
      for (let start = 0; start < batch.length; start += size)
        chunks.push(...mask(batch.slice(start, start + size)));
      expect(chunks).toEqual(tokens);
    });

    it('are the same in another order', () => {
      expect(mask(batch.toReversed())).toEqual(tokens.toReversed());
    });

    it('are the same from another masker of the same keyset text', () => {
      const again = columnMasker(parseKeyset(KEYSET_JSON), masking, column);
      expect(again(batch.slice(0, 100))).toEqual(tokens.slice(0, 100));
    });

    it('are equal for equal values only', () => {
      const distinct = new Set(hexAll(batch)).size;
      expect(distinct).toBeGreaterThan(9_500);
      expect(new Set(tokens).size).toBe(distinct);
      expect(mask([batch[1]!, batch[2]!, batch[1]!])).toEqual([tokens[1], tokens[2], tokens[1]]);
    });

    it('are scheme, kid and base64url without padding', () => {
      const form = new RegExp(`^${scheme}~k1~[A-Za-z0-9_-]+$`);
      expect(tokens.filter((token) => token === null || !form.test(token))).toEqual([]);
    });

    it('leave null where it was', () => {
      const [first, second] = batch;
      const masked = mask([null, first!, null, null, second!, null]);
      expect(masked).toEqual([null, tokens[0], null, null, tokens[1], null]);
      expect(mask([null, null])).toEqual([null, null]);
      expect(mask([])).toEqual([]);
    });

    it('leave the values as they were', () => {
      const values = [batch[3]!, null, batch[4]!];
      const before = structuredClone(values);
      mask(values);
      expect(values).toEqual(before);
    });

    it('share no data with those of another key', () => {
      const other = columnMasker(rotated, masking, column)(batch.slice(0, 2_000));
      expect(other.slice(0, 100)).toEqual(batch.slice(0, 100).map((value) => oracle(K2, column, value)));
      expect(commonData(tokens, other)).toEqual([]);
    });

    it('share no data with those of the same material under another kid', () => {
      const renamed = parseKeyset(JSON.stringify({ primary: 'k3', k3: K1.material }));
      const other = columnMasker(renamed, masking, column)(batch.slice(0, 2_000));
      expect(commonData(tokens, other)).toEqual([]);
    });

    it('share no data with those of another domain', () => {
      for (const domain of ['other', `${column.mask.domain}2`, '', column.mask.domain.toUpperCase()]) {
        const other = columnMasker(keyset, masking, withMask(column, { domain }))(batch.slice(0, 1_000));
        expect(commonData(tokens, other)).toEqual([]);
      }
    });

    it('join with those of another column of the same domain and type', () => {
      const other = columnMasker(keyset, masking, { ...column, column: 'other', source: ['other'] });
      expect(other(batch.slice(0, 100))).toEqual(tokens.slice(0, 100));
    });
  },
);

describe('the length of a token', () => {
  const longestKid = parseKeyset(JSON.stringify({ primary: 'abcdefg8', abcdefg8: K1.material }));
  const everyLength = Array.from({ length: 160 }, (_, length) => sampleText(length, length));

  it.each(maskings)('is at most 256 for text of up to 159 bytes and the longest kid, $masking', (row) => {
    const tokens = columnMasker(longestKid, row.masking, deviceId)(everyLength);
    const form = /^(s1|h1)~abcdefg8~[A-Za-z0-9_-]+$/;
    expect(tokens.filter((token) => token === null || !form.test(token) || token.length > 256)).toEqual([]);
  });

  it('tells the length of a recoverable text to within 16 bytes only', () => {
    const tokens = columnMasker(keyset, 'recoverable', deviceId)(everyLength);
    const lengths = new Set(tokens.map((token) => token?.length));
    expect(lengths.size).toBe(10);
  });

  it('tells nothing of the length of an irreversible text', () => {
    const tokens = columnMasker(keyset, 'irreversible', deviceId)(everyLength);
    expect(new Set(tokens.map((token) => token?.length))).toEqual(new Set([6 + 43]));
  });
});

describe('the scheme', () => {
  it.each(columns)('changes all data of $name', ({ column, values }) => {
    const recoverable = columnMasker(keyset, 'recoverable', column)(values(1_000));
    const irreversible = columnMasker(keyset, 'irreversible', column)(values(1_000));
    expect(commonData(recoverable, irreversible)).toEqual([]);
  });

  it.each([
    { fixed: 'irreversible', configured: 'recoverable', oracle: irreversibleToken },
    { fixed: 'recoverable', configured: 'irreversible', oracle: recoverableToken },
  ] as const)('is $fixed where the declaration says so, whatever the configuration says', (row) => {
    for (const { column, values } of columns) {
      const fixed = withMask(column, { domain: column.mask.domain, policy: row.fixed });
      const tokens = columnMasker(keyset, row.configured, fixed)(values(100));
      expect(tokens).toEqual(values(100).map((value) => row.oracle(K1, column, value)));
    }
  });
});

describe('unmask', () => {
  it.each(columns)('gives back every value of $name', ({ column, values }) => {
    const batch = values(400);
    const opened = unmask(keyset, column, tokensOf('recoverable', column, batch));
    expect(hexAll(opened)).toEqual(hexAll(batch));
  });

  it('gives back text that itself looks like padding', () => {
    const batch = ['00', 'c280', 'c28000', `${'00'.repeat(14)}c280`].map(fromHex);
    const opened = unmask(keyset, deviceId, tokensOf('recoverable', deviceId, batch));
    expect(hexAll(opened)).toEqual(hexAll(batch));
  });

  it('gives back values under every key of the keyset, in one call', () => {
    const [older, newer] = [sampleBytes(16, 'older'), sampleBytes(16, 'newer')];
    const tokens = [
      ...tokensOf('recoverable', ip, [older], keyset),
      'garbage',
      ...tokensOf('recoverable', ip, [newer], rotated),
    ];
    for (const keys of [keyset, rotated]) {
      expect(hexAll(unmask(keys, ip, tokens))).toEqual([hex(older), undefined, hex(newer)]);
    }
  });

  it('takes no tokens at all', () => {
    expect(unmask(keyset, ip, [])).toEqual([]);
  });

  it.each(columns)('gives nothing for irreversible tokens of $name', ({ column, values }) => {
    const tokens = tokensOf('irreversible', column, values(200));
    expect(unmask(keyset, column, tokens)).toEqual(tokens.map(() => undefined));
  });

  it.each(columns)('gives nothing for irreversible tokens of $name that claim to be recoverable', (row) => {
    const tokens = tokensOf('irreversible', row.column, row.values(200)).map((token) =>
      token.replace('h1', 's1'),
    );
    expect(unmask(keyset, row.column, tokens)).toEqual(tokens.map(() => undefined));
  });

  it.each(columns)('gives nothing for tokens of $name pasted into another column', ({ column, values }) => {
    const tokens = tokensOf('recoverable', column, values(200));
    const others = [
      ...columns.map((row) => row.column).filter((other) => other !== column),
      otherDomain(column),
    ];
    for (const other of others) {
      expect(unmask(keyset, other, tokens)).toEqual(tokens.map(() => undefined));
    }
  });

  it('gives nothing for a key that the keyset does not have', () => {
    const only = parseKeyset(JSON.stringify({ primary: 'k1', k1: K1.material }));
    const tokens = tokensOf('recoverable', ip, addresses(10), rotated);
    expect(unmask(only, ip, tokens)).toEqual(tokens.map(() => undefined));
  });

  it('gives nothing for a kid whose material has changed', () => {
    const changed = parseKeyset(JSON.stringify({ primary: 'k1', k1: K2.material }));
    const tokens = tokensOf('recoverable', ip, addresses(10));
    expect(unmask(changed, ip, tokens)).toEqual(tokens.map(() => undefined));
  });

  // Lengths of data modulo 3 differ, and with them how many bits the last character has to spare.
  it.each([
    { name: 'an address', column: ip, value: sampleBytes(16, 'tampered') },
    { name: 'a text of 3 blocks', column: deviceId, value: sampleText(40, 'tampered') },
  ])('gives nothing for a token of $name in which any one character is another', ({ column, value }) => {
    const [token] = tokensOf('recoverable', column, [value]);
    const altered = [...token!].flatMap((character, i) =>
      [...BASE64URL]
        .filter((other) => other !== character)
        .map((other) => token!.slice(0, i) + other + token!.slice(i + 1)),
    );

    const opened = unmask(keyset, column, altered);

    expect(altered.length).toBeGreaterThan(token!.length * 62);
    expect(altered.filter((_, i) => opened[i] !== undefined)).toEqual([]);
    expect(hexAll(unmask(keyset, column, [token!]))).toEqual([hex(value)]);
  });

  it('gives nothing for another spelling of the same bytes', () => {
    const [token] = tokensOf('recoverable', ip, [sampleBytes(16, 'spelling')]);
    const last = BASE64URL.indexOf(token!.at(-1)!);
    const spellings = [1, 2, 3].map((spare) => token!.slice(0, -1) + BASE64URL[last + spare]);
    const bytes = [token!, ...spellings].map((text) => hex(Buffer.from(text.slice(6), 'base64url')));
    expect(new Set(bytes).size).toBe(1);
    expect(unmask(keyset, ip, spellings)).toEqual([undefined, undefined, undefined]);
  });

  it('gives nothing for standard base64 of a token whose data has the characters that differ', () => {
    const tokens = tokensOf('recoverable', ip, addresses(100)).filter((token) => /[-_]/.test(token));
    const standard = tokens.map((token) => token.replaceAll('-', '+').replaceAll('_', '/'));
    expect(tokens.length).toBeGreaterThan(10);
    expect(unmask(keyset, ip, standard)).toEqual(tokens.map(() => undefined));
  });

  it('gives nothing for what only resembles a token', () => {
    const [token] = tokensOf('recoverable', ip, [sampleBytes(16, 'resembles')]);
    const data = token!.slice('s1~k1~'.length);
    const texts = [
      '',
      '~',
      '~~',
      's1',
      's1~k1',
      's1~k1~',
      's1~k1~A',
      's1~k1~AAAA',
      `s1~k1~${'A'.repeat(22)}`,
      `s1~k1~${'A'.repeat(100_000)}`,
      data,
      `~~${data}`,
      `s1~~${data}`,
      `s2~k1~${data}`,
      `S1~k1~${data}`,
      `s1~K1~${data}`,
      `s1~primary~${data}`,
      `s1~abcdefghi~${data}`,
      `s1~__proto__~${data}`,
      `s1~valueof~${data}`,
      `s1~k1~${data}~`,
      `s1~k1~k1~${data}`,
      `s1~k1~${data}=`,
      `s1~k1~${data}A`,
      `s1~k1~${data}${data}`,
      `s1~k1~${data.slice(0, -1)}`,
      `s1~k1~${data.slice(1)}`,
      `${token}\n`,
      `${token} `,
      ` ${token}`,
      `\n${token}`,
      `${token}\0`,
      `${token},${token}`,
      'null',
      '203.0.113.7',
      '\ud800',
    ];
    const opened = unmask(keyset, ip, [...texts, token!]);
    expect(texts.filter((_, i) => opened[i] !== undefined)).toEqual([]);
    expect(opened.at(-1)).toBeDefined();
  });

  it('gives nothing for sealed text without padding', () => {
    // An address column of the same domain seals without padding.
    const unpadded: MaskedColumn = { ...ip, mask: { domain: deviceId.mask.domain } };
    const tokens = tokensOf('recoverable', unpadded, [fromHex('61'.repeat(16)), fromHex('00'.repeat(16))]);
    expect(unmask(keyset, deviceId, tokens)).toEqual([undefined, undefined]);
  });
});

const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

function maskedColumn(name: string): MaskedColumn {
  const column = declaration.columns.filter(isMasked).find((candidate) => candidate.column === name);
  if (column === undefined) throw new Error(`loginEvents: expected a masked column ${name}, got none`);
  return column;
}

function withMask(column: MaskedColumn, mask: Mask): MaskedColumn {
  return { ...column, mask };
}

function otherDomain(column: MaskedColumn): MaskedColumn {
  return withMask(column, { domain: `${column.mask.domain}2` });
}

function tokensOf(
  masking: Masking,
  column: MaskedColumn,
  values: readonly Uint8Array[],
  keys = keyset,
): string[] {
  return columnMasker(keys, masking, column)(values).filter((token) => token !== null);
}

/** What follows scheme and kid in both lists: those differ anyway, the data must too. */
function commonData(some: readonly (string | null)[], others: readonly (string | null)[]): string[] {
  const data = (token: string | null) => token?.split('~')[2] ?? 'none';
  const known = new Set(some.map(data));
  return others.map(data).filter((text) => known.has(text));
}
