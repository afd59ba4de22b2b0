import { BlockList, isIPv6 } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseAddress, toNetwork } from '../../../lambda/events/address.ts';
import { type AddressColumn, type Column, sqlType } from '../../../lambda/events/declaration.ts';
import { fieldParser } from '../../../lambda/events/fields.ts';
import { loginEvents } from '../../../lambda/events/login-event.ts';
import { parseBatch } from '../../../lambda/events/parse.ts';
import { FieldError } from '../../../lambda/events/rejection.ts';
import { loginEvent, record } from '../../support/records.ts';
import { hex } from '../masking/bytes.ts';

const network: AddressColumn = {
  column: 'n',
  source: ['n'],
  type: 'address',
  mask: { domain: 'n', policy: 'network' },
};
const networkOf = (text: string): string => hex(fieldParser(network)(text) as Uint8Array);

/** By Node's own firewall rules. */
function shareNetwork(one: string, other: string): boolean {
  const list = new BlockList();
  if (isIPv6(one)) list.addSubnet(one, 48, 'ipv6');
  else list.addSubnet(one, 24, 'ipv4');
  return list.check(other, isIPv6(other) ? 'ipv6' : 'ipv4');
}

/** Two addresses of one kind that differ in few bits, or in all of them. */
const pairs = fc.oneof(
  fc.tuple(fc.ipV4(), fc.ipV4()),
  neighbours(4).map((pair) => pair.map((bytes) => bytes.join('.'))),
  neighbours(16).map((pair) => pair.map((bytes) => hex(Uint8Array.from(bytes)).match(/.{4}/g)!.join(':'))),
);

function neighbours(length: number): fc.Arbitrary<number[][]> {
  const bytes = fc.array(fc.nat(255), { minLength: length, maxLength: length });
  return fc.tuple(bytes, fc.nat(8 * length - 1)).map(([one, bit]) => {
    const other = one.map((byte, i) => (i === bit >> 3 ? byte ^ (0x80 >> (bit & 7)) : byte));
    return [one, other];
  });
}

describe('the network of an address', () => {
  it.each([
    ['203.0.113.7', '00000000000000000000ffffcb007100'],
    [' ::FFFF:203.0.113.7 ', '00000000000000000000ffffcb007100'],
    ['::ffff:cb00:7107', '00000000000000000000ffffcb007100'],
    ['2001:db8:1:2:3:4:5:6', '20010db8000100000000000000000000'],
    ['::1', '00000000000000000000000000000000'],
    // Not quite the prefix of IPv4.
    ['::fffe:203.0.113.7', '00000000000000000000000000000000'],
    ['::1:ffff:203.0.113.7', '00000000000000000000000000000000'],
  ])('of %s is its first address', (text, expected) => {
    expect(networkOf(text)).toBe(expected);
  });

  it('is the same for two addresses exactly where they share a /24 or a /48', () => {
    fc.assert(
      fc.property(pairs, ([one, other]) => {
        expect(networkOf(one!) === networkOf(other!)).toBe(shareNetwork(one!, other!));
      }),
      { numRuns: 2_000 },
    );
  });

  it('of IPv4 is never one of IPv6', () => {
    const nearlyMapped = fc.ipV4().map((text) => `::${text}`);
    fc.assert(
      fc.property(fc.ipV4(), fc.oneof(fc.ipV6(), nearlyMapped), (ipv4, ipv6) => {
        fc.pre(!ipv6.toLowerCase().startsWith('::ffff:'));

        expect(networkOf(ipv4)).not.toBe(networkOf(ipv6));
      }),
      { numRuns: 500 },
    );
  });

  it.each(['', '203.0.113.0/24', '203.0.113', '2001:db8::/48', 'fe80::1%eth0'])('%j has none', (text) => {
    expect(() => networkOf(text)).toThrow(new FieldError('format'));
  });

  it('leaves the address as it was', () => {
    const address = parseAddress('203.0.113.7')!;

    expect(hex(toNetwork(address))).toBe('00000000000000000000ffffcb007100');
    expect(hex(address)).toBe('00000000000000000000ffffcb007107');
  });

  it('stands beside the address where another column has it', () => {
    const both = { ...loginEvents, columns: [...loginEvents.columns, { ...network, source: ['ip'] }] };

    const [chunk] = parseBatch(both, [record(loginEvent({ ip: '203.0.113.7' }))]);

    const values = [2, 6].map((i) => hex(chunk!.columns[i]!.values[0] as Uint8Array));
    expect(values).toEqual(['00000000000000000000ffffcb007107', '00000000000000000000ffffcb007100']);
  });
});

describe('an erased column', () => {
  const erased: readonly Column[] = (['text', 'address'] as const).map((type) => ({
    column: `no_${type}`,
    source: ['a', type],
    type,
    mask: { policy: 'erase' },
  }));

  it.each(erased)('of type $type is NULL whatever comes', (column) => {
    fc.assert(
      fc.property(fc.anything(), (value) => {
        expect(fieldParser(column)(value)).toBeNull();
      }),
    );
    for (const value of [undefined, null, '', '\0', '\ud800', 'x'.repeat(1_000), '203.0.113.7'])
      expect(fieldParser(column)(value)).toBeNull();
  });

  it('rejects nothing, and has nothing for the masker', () => {
    const declaration = { ...loginEvents, columns: [...loginEvents.columns, ...erased] };
    const sources = [undefined, null, 5, 'text', [], { text: 7, address: 'nowhere' }];

    const [chunk] = parseBatch(
      declaration,
      sources.map((a) => record(loginEvent({ a }))),
    );

    expect(chunk!.rejected).toEqual([]);
    const nulls = { kind: 'plain', values: sources.map(() => null) };
    expect(chunk!.columns.slice(6)).toEqual([nulls, nulls]);
  });

  it('has room for the tokens of a table whose column was masked before', () => {
    expect(erased.map(sqlType)).toEqual(['varchar(256)', 'varchar(256)']);
  });
});
