import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { MaskedColumn } from '../../../lambda/events/declaration.ts';
import { parseKeyset } from '../../../lambda/masking/keyset.ts';
import { type OpenedToken, openTokens } from '../../../lambda/masking/open-tokens.ts';
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

const keyset = layeredKeyset('k2');
const { s1, h1 } = oracleTokens;
const address = sampleBytes(16, 'address');

/** As text, so that a failing comparison shows bytes. */
function shown(opened: readonly OpenedToken[]): unknown[] {
  return opened.map((one) =>
    one.kind === 'opened' ? { column: one.column.column, value: hex(one.value), kid: one.kid } : one,
  );
}

/** A value, the column that it is of, and a key. */
const values = fc
  .tuple(
    fc.constantFrom(...COLUMNS),
    fc.string({ unit: 'binary', minLength: 16, maxLength: 39 }).map((text) => new TextEncoder().encode(text)),
    fc.constantFrom(...KIDS),
  )
  .map(([column, bytes, kid]) => ({
    column,
    kid,
    value: new Uint8Array(column.type === 'address' ? bytes.subarray(0, 16) : bytes),
  }));

/** A token with what is to become of it. */
const tokens: fc.Arbitrary<{ token: string; expected: unknown }> = fc.oneof(
  values.map(({ column, value, kid }) => ({
    token: s1(kid, column, value),
    expected: { column: column.column, value: hex(value), kid },
  })),
  values.map(({ column, value, kid }) => ({
    token: h1(kid, column, value),
    expected: { kind: 'failed', reason: 'irreversible', kid },
  })),
  fc.tuple(values, fc.nat(), fc.integer({ min: 1, max: 63 })).map(([{ column, value, kid }, at, by]) => ({
    token: altered(s1(kid, column, value), at, by),
    expected: { kind: 'failed', reason: 'altered', kid },
  })),
  values.map(({ column, value }) => ({
    token: s1('k1', column, value).replace('~k1~', '~k9~'),
    expected: { kind: 'failed', reason: 'unknown_key', kid: 'k9' },
  })),
  fc
    .string({ unit: 'binary' })
    .filter((text) => !/^(s1|h1)~[a-z][a-z0-9]{0,7}~[\w-]+$/.test(text))
    .map((token) => ({ token, expected: { kind: 'failed', reason: 'not_a_token' } })),
);

const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** With one character of its data another, but for the last, whose bits may mean nothing. */
function altered(token: string, at: number, by: number): string {
  const start = token.lastIndexOf('~') + 1;
  const place = start + (at % (token.length - start - 1));
  const other = BASE64URL[(BASE64URL.indexOf(token[place]!) + by) % 64]!;
  return token.slice(0, place) + other + token.slice(place + 1);
}

describe('tokens that are opened', () => {
  it('give value, column and key, or why they do not, each at its place', () => {
    fc.assert(
      fc.property(fc.array(tokens, { maxLength: 30 }), (batch) => {
        const opened = openTokens(
          keyset,
          COLUMNS,
          batch.map(({ token }) => token),
        );

        expect(shown(opened)).toEqual(batch.map(({ expected }) => expected));
      }),
      { numRuns: 150 },
    );
  });

  it('are the same one by one and in a batch of thousands', () => {
    const batch = Array.from({ length: 2_000 }, (_, i) => {
      const kid = KIDS[i % KIDS.length]!;
      const column = COLUMNS[i % COLUMNS.length]!;
      return s1(
        kid,
        column,
        column.type === 'address' ? sampleBytes(16, i) : Buffer.from(hex(sampleBytes(i % 80, i))),
      );
    });

    const together = shown(openTokens(keyset, COLUMNS, batch));

    expect(together.filter((one) => (one as { kind?: string }).kind === 'failed')).toEqual([]);
    const alone = batch.slice(0, 200).flatMap((token) => shown(openTokens(keyset, COLUMNS, [token])));
    expect(together.slice(0, 200)).toEqual(alone);
  });

  it('are opened each time that they occur', () => {
    const token = s1('k1', ip, address);

    expect(shown(openTokens(keyset, COLUMNS, [token, 'x', token]))).toEqual([
      { column: 'masked_ip', value: hex(address), kid: 'k1' },
      { kind: 'failed', reason: 'not_a_token' },
      { column: 'masked_ip', value: hex(address), kid: 'k1' },
    ]);
  });

  it('may be none at all, and of no column', () => {
    expect(openTokens(keyset, COLUMNS, [])).toEqual([]);
    expect(openTokens(keyset, [], [s1('k1', ip, address)])).toEqual([
      { kind: 'failed', reason: 'altered', kid: 'k1' },
    ]);
  });

  it('are of their domain, whichever column of it is asked for', () => {
    const sameDomain: MaskedColumn = { ...ip, column: 'other' };

    const [opened] = openTokens(keyset, [sameDomain], [s1('k1', ip, address)]);

    expect(opened).toMatchObject({ kind: 'opened', column: { column: 'other' } });
  });
});

it.each([
  ['an address of five bytes', ip, new Uint8Array(5)],
  ['a network of no bytes', network, new Uint8Array()],
  ['text that is not UTF-8', deviceId, Uint8Array.of(0x61, 0xff)],
])('what holds no value of its column counts as altered: %s', (_what, column, value) => {
  expect(openTokens(keyset, COLUMNS, [s1('k1', column, value)])).toEqual([
    { kind: 'failed', reason: 'altered', kid: 'k1' },
  ]);
});

describe('a token is not opened', () => {
  const reasonOf = (token: string, columns = COLUMNS, keys = keyset) => openTokens(keys, columns, [token])[0];

  it.each([
    '',
    's1',
    's1~k1~',
    's2~k1~AAAA',
    's1~K1~AAAA',
    's1~abcdefghi~AAAA',
    's1~k1~AA=',
    's1~k1~A',
    's1~k1~AB',
    'h1~k1~AAAA',
    '203.0.113.7',
    'a9f1c5',
    `${s1('k1', ip, address)} `,
  ])('where it is none: %j', (text) => {
    expect(reasonOf(text)).toEqual({ kind: 'failed', reason: 'not_a_token' });
  });

  it('where it is irreversible, even under a key that is gone', () => {
    expect(reasonOf(h1('k1', ip, address))).toEqual({ kind: 'failed', reason: 'irreversible', kid: 'k1' });
    expect(reasonOf(h1('k1', ip, address).replace('k1', 'k9'))).toMatchObject({ reason: 'irreversible' });
  });

  it('where its key is gone', () => {
    const only = parseKeyset(JSON.stringify({ primary: 'k2', k2: MATERIALS.k2 }));

    expect(reasonOf(s1('k1', ip, address), COLUMNS, only)).toEqual({
      kind: 'failed',
      reason: 'unknown_key',
      kid: 'k1',
    });
  });

  it.each<[string, string, readonly MaskedColumn[]]>([
    ['of another column', s1('k1', ip, address), [deviceId, network]],
    ['of a network, where addresses are asked for', s1('k1', network, address), [ip]],
    ['with the name of another key', s1('k1', ip, address).replace('~k1~', '~k2~'), COLUMNS],
    ['cut off', s1('k1', deviceId, address).slice(0, -8), COLUMNS],
    ['irreversible, and said to be recoverable', h1('k1', ip, address).replace('h1', 's1'), COLUMNS],
  ])('where it is %s', (_name, token, columns) => {
    expect(reasonOf(token, columns)).toMatchObject({ kind: 'failed', reason: 'altered' });
  });

  it('where it was made with another key of the same name', () => {
    const restored = parseKeyset(JSON.stringify({ primary: 'k1', k1: MATERIALS.k4 }));

    expect(reasonOf(s1('k1' satisfies Kid, ip, address), COLUMNS, restored)).toEqual({
      kind: 'failed',
      reason: 'altered',
      kid: 'k1',
    });
  });

  it('and the others are all the same', () => {
    const good = s1('k1', ip, address);
    const bad = ['x', h1('k1', ip, address), good.replace('k1', 'k9'), altered(good, 3, 1)];

    const opened = openTokens(keyset, COLUMNS, [good, ...bad.flatMap((token) => [token, good])]);

    expect(opened.filter(({ kind }) => kind === 'opened')).toHaveLength(bad.length + 1);
    expect(opened.flatMap((one) => (one.kind === 'failed' ? [one.reason] : []))).toEqual([
      'not_a_token',
      'irreversible',
      'unknown_key',
      'altered',
    ]);
  });
});
