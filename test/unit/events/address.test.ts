import { isIP } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ADDRESS_BYTES, parseAddress } from '../../../lambda/events/address.ts';

const ACCEPTED = [
  ['203.0.113.7', '00000000000000000000ffffcb007107'],
  ['0.0.0.0', '00000000000000000000ffff00000000'],
  ['255.255.255.255', '00000000000000000000ffffffffffff'],
  ['127.0.0.1', '00000000000000000000ffff7f000001'],
  ['224.0.0.251', '00000000000000000000ffffe00000fb'],
  ['240.0.0.1', '00000000000000000000fffff0000001'],
  ['10.20.30.40', '00000000000000000000ffff0a141e28'],
  ['100.200.199.249', '00000000000000000000ffff64c8c7f9'],
  ['  203.0.113.7\t', '00000000000000000000ffffcb007107'],
  ['\r\n203.0.113.7\u00a0', '00000000000000000000ffffcb007107'],
  ['::ffff:203.0.113.7', '00000000000000000000ffffcb007107'],
  ['::FFFF:cb00:7107', '00000000000000000000ffffcb007107'],
  ['::', '00000000000000000000000000000000'],
  ['0:0:0:0:0:0:0:0', '00000000000000000000000000000000'],
  ['::1', '00000000000000000000000000000001'],
  ['1::', '00010000000000000000000000000000'],
  ['::0.0.0.1', '00000000000000000000000000000001'],
  ['2001:db8::1', '20010db8000000000000000000000001'],
  ['2001:0DB8:0000:0000:0000:0000:0000:0001', '20010db8000000000000000000000001'],
  ['2001:db8::192.0.2.33', '20010db80000000000000000c0000221'],
  ['64:ff9b::192.0.2.33', '0064ff9b0000000000000000c0000221'],
  ['1:2:3:4:5:6:192.0.2.33', '000100020003000400050006c0000221'],
  ['1:2:3:4:5:6:7::', '00010002000300040005000600070000'],
  ['::2:3:4:5:6:7:8', '00000002000300040005000600070008'],
  ['1:2:3:4::6:7:8', '00010002000300040000000600070008'],
  ['fe80::1', 'fe800000000000000000000000000001'],
  ['ff02::1', 'ff020000000000000000000000000001'],
  ['ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'ffffffffffffffffffffffffffffffff'],
  [' 2001:db8::1\n', '20010db8000000000000000000000001'],
] as const;

const SAME = [
  [
    'an IPv4 address',
    ['192.0.2.1', ' 192.0.2.1 ', '::ffff:192.0.2.1', '::FFFF:c000:201', '0:0:0:0:0:ffff:C000:0201'],
  ],
  [
    'an IPv6 address',
    [
      '2001:db8::1',
      '2001:DB8::1',
      '2001:db8::0001',
      '2001:db8:0:0:0:0:0:1',
      '2001:0DB8:0:0::0:1',
      '2001:db8::0.0.0.1',
      '2001:0db8:0000:0000:0000:0000:0000:0001',
    ],
  ],
] as const;

const REFUSED = [
  '',
  ' ',
  '\n',
  'localhost',
  '256.1.1.1',
  '1.1.1.256',
  '1.2.3.1000',
  '1.2.3',
  '1.2.3.',
  '.1.2.3',
  '.1.2.3.4',
  '1..2.3',
  '1.2..4',
  '1.2.3.4.',
  '1.2.3.4.5',
  '192.000.002.001',
  '01.2.3.4',
  '1.2.3.00',
  '1.2.3.4/24',
  '1.2.3.4:80',
  '1.2.3.4 5',
  '1.2.3. 4',
  '1.2.3.-4',
  '+1.2.3.4',
  '1,2,3,4',
  '0x7f.1',
  '0x7f.0.0.1',
  '1e1.2.3.4',
  '2130706433',
  '１.２.３.４',
  '1.2.3.٤',
  '1。2。3。4',
  '::１',
  'fe80::1%eth0',
  'fe80::1%',
  '%eth0',
  '2001:db8::/32',
  '[::1]',
  '[::1]:80',
  ':',
  ':::',
  ':1',
  '1:',
  '1::2::3',
  '12345::',
  '::g',
  '::-1',
  '1:2:3:4:5:6:7',
  '1:2:3:4:5:6:7:8:9',
  '1:2:3:4:5:6:7:8::',
  '1:2:3:4:5:6:7:1.2.3.4',
  '::ffff:256.0.0.1',
  '::ffff:1.2.3',
  '::ffff:01.2.3.4',
  '::1.2.3.4:5',
  '1.2.3.4::',
  '::1 ::2',
  '1.2.3.4\0',
  '::1\0',
  '203.0.113.7, 203.0.113.8',
];

describe('parseAddress', () => {
  it.each(ACCEPTED)('gives %j its 16 bytes', (text, hex) => {
    expect(hexOf(text)).toBe(hex);
  });

  it.each(SAME)('gives every spelling of %s the same bytes', (_, spellings) => {
    const forms = new Set(spellings.map(hexOf));

    expect([...forms]).toEqual([expect.stringMatching(/^[0-9a-f]{32}$/)]);
  });

  it.each(REFUSED)('refuses %j', (text) => {
    expect(parseAddress(text)).toBeUndefined();
  });

  it('tells an IPv4 address from the IPv6 address that ends in the same bytes', () => {
    expect(hexOf('1.2.3.4')).not.toBe(hexOf('::1.2.3.4'));
  });

  it('gives each address an array of its own', () => {
    const first = parseAddress('1.2.3.4')!;
    first.fill(0);

    expect(hexOf('1.2.3.4')).toBe('00000000000000000000ffff01020304');
  });

  it('reads every IPv4 address as its four bytes', () => {
    fc.assert(
      fc.property(bytes(4), (address) => {
        expect(hexOf(address.join('.'))).toBe(`00000000000000000000ffff${hex(address)}`);
      }),
      { numRuns: 200 },
    );
  });

  it('reads every IPv6 address as its bytes, whatever its case and leading zeros', () => {
    fc.assert(
      fc.property(bytes(ADDRESS_BYTES), styles, (address, style) => {
        expect(hexOf(fullSpelling(address, style))).toBe(hex(address));
      }),
      { numRuns: 200 },
    );
  });

  it('reads every compressed and every embedded dotted IPv6 address as its bytes', () => {
    fc.assert(
      fc.property(sparseBytes, styles, (address, style) => {
        const full = fullSpelling(address, style);
        const dotted = `${full.split(':').slice(0, 6).join(':')}:${address.slice(12).join('.')}`;

        expect(hexOf(compressedByUrl(full))).toBe(hex(address));
        expect(hexOf(dotted)).toBe(hex(address));
      }),
      { numRuns: 200 },
    );
  });

  it('accepts exactly the texts that node:net takes for an address without a zone id', () => {
    fc.assert(
      fc.property(nearlyAddresses, (text) => {
        const trimmed = text.trim();
        const expected = isIP(trimmed) !== 0 && !trimmed.includes('%');

        expect(parseAddress(text) !== undefined).toBe(expected);
      }),
      { numRuns: 1500 },
    );
  });
});

function hex(bytes: Iterable<number>): string {
  return Buffer.from([...bytes]).toString('hex');
}

function hexOf(text: string): string | undefined {
  const bytes = parseAddress(text);
  return bytes === undefined ? undefined : hex(bytes);
}

function bytes(length: number): fc.Arbitrary<number[]> {
  return fc.array(fc.nat(255), { minLength: length, maxLength: length });
}

/** Addresses with many zero groups, which is where compression happens. */
const sparseBytes = fc
  .array(fc.oneof(fc.constant(0), fc.nat(0xffff)), { minLength: 8, maxLength: 8 })
  .map((groups) => groups.flatMap((group) => [group >> 8, group & 0xff]));

interface GroupStyle {
  readonly width: number;
  readonly upper: boolean;
}

const styles: fc.Arbitrary<GroupStyle[]> = fc.array(
  fc.record({ width: fc.integer({ min: 1, max: 4 }), upper: fc.boolean() }),
  { minLength: 8, maxLength: 8 },
);

/** All eight groups, each in its own case and with its own number of leading zeros. */
function fullSpelling(address: readonly number[], style: readonly GroupStyle[]): string {
  return style
    .map(({ width, upper }, i) => {
      const group = ((address[2 * i]! << 8) | address[2 * i + 1]!).toString(16).padStart(width, '0');
      return upper ? group.toUpperCase() : group;
    })
    .join(':');
}

/** The shortest spelling, as the WHATWG URL serializer writes it. */
function compressedByUrl(address: string): string {
  return new URL(`http://[${address}]/`).hostname.slice(1, -1);
}

const addresses = fc.oneof(
  fc.ipV4(),
  fc.ipV6(),
  fc.constantFrom(...ACCEPTED.map(([text]) => text), ...REFUSED),
);

/** Addresses with one place changed, texts of their letters, and any other text. */
const nearlyAddresses = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: fc.constantFrom(...'0123456789afF:.% x'), maxLength: 40 }),
  addresses,
  fc
    .tuple(
      addresses,
      fc.nat(45),
      fc.nat(1),
      fc.constantFrom('', ' ', '.', ':', '::', '0', '1', '9', 'f', '%', '１'),
    )
    .map(([text, at, cut, inserted]) => text.slice(0, at) + inserted + text.slice(at + cut)),
);
