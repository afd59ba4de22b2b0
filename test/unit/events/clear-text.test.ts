import { SocketAddress } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseAddress } from '../../../lambda/events/address.ts';
import { clearText } from '../../../lambda/events/clear-text.ts';
import type { MaskedColumn } from '../../../lambda/events/declaration.ts';
import { fieldParser } from '../../../lambda/events/fields.ts';

const address: MaskedColumn = { column: 'a', source: ['a'], type: 'address', mask: { domain: 'a' } };
const network: MaskedColumn = { ...address, mask: { domain: 'n', policy: 'network' } };
const device: MaskedColumn = { column: 't', source: ['t'], type: 'text', mask: { domain: 't' } };

/** What is shown of a value after it has been masked and recovered. */
function shown(column: MaskedColumn, text: string): string {
  return clearText(column, fieldParser(column)(text) as Uint8Array);
}

describe('the clear text of an address', () => {
  it.each([
    ['203.0.113.7', '203.0.113.7'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['::ffff:0:0', '0.0.0.0'],
    ['255.255.255.255', '255.255.255.255'],
  ])('of %s is dotted', (text, expected) => {
    expect(shown(address, text)).toBe(expected);
  });

  it.each([
    // 4.1: leading zeros.
    ['2001:0db8::0001', '2001:db8::1'],
    ['2001:db8:aaaa:bbbb:cccc:dddd:eeee:0001', '2001:db8:aaaa:bbbb:cccc:dddd:eeee:1'],
    // 4.2.1: as short as possible.
    ['2001:db8:0:0:0:0:2:1', '2001:db8::2:1'],
    ['2001:db8::0:1', '2001:db8::1'],
    // 4.2.2: no :: for one group.
    ['2001:db8::1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:db8:aaaa:bbbb:cccc:dddd::1', '2001:db8:aaaa:bbbb:cccc:dddd:0:1'],
    // 4.2.3: the longest run, of equal ones the first.
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:0:aaaa::1', '2001:db8::aaaa:0:0:1'],
    // 4.3: lower case.
    ['2001:DB8:AAAA:BBBB:CCCC:DDDD:EEEE:AAAA', '2001:db8:aaaa:bbbb:cccc:dddd:eeee:aaaa'],
    ['::', '::'],
    ['::1', '::1'],
    ['2001:db8::', '2001:db8::'],
    // What looks like an IPv4 address to inet_ntop is none.
    ['::192.0.2.1', '::c000:201'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
  ])('of %s is %s, as RFC 5952 writes it', (text, expected) => {
    expect(shown(address, text)).toBe(expected);
  });

  it('is that which another implementation of RFC 5952 writes', () => {
    fc.assert(
      fc.property(ipv6Groups, (groups) => {
        const full = groups.map((group) => group.toString(16)).join(':');

        expect(shown(address, full)).toBe(new SocketAddress({ address: full, family: 'ipv6' }).address);
      }),
      { numRuns: 500 },
    );
  });

  it('is read as the same address again', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
        expect(parseAddress(shown(address, text))).toEqual(parseAddress(text));
      }),
    );
  });
});

describe('the clear text of a network', () => {
  it.each([
    ['203.0.113.7', '203.0.113.0/24'],
    ['::ffff:203.0.113.255', '203.0.113.0/24'],
    ['0.0.0.9', '0.0.0.0/24'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1::/48'],
    ['2001:db8::1', '2001:db8::/48'],
    ['::1', '::/48'],
    ['::192.0.2.1', '::/48'],
    // Both are IPv6, whatever address of IPv4 they carry.
    ['2002:c000:201:7::1', '2002:c000:201::/48'],
    ['64:ff9b::192.0.2.33', '64:ff9b::/48'],
  ])('of %s is %s', (text, expected) => {
    expect(shown(network, text)).toBe(expected);
  });
});

describe('the clear text of text', () => {
  it('is the text that was masked', () => {
    for (const text of ['device-1', 'Zo\u00eb \u{1f600}', 'a\tb', 'null', 'a\ufeffb']) {
      expect(shown(device, text)).toBe(text);
    }
    expect(clearText(device, Buffer.from('\ufeffx'))).toBe('\ufeffx');
  });

  it('refuses what is not UTF-8, and does not show it', () => {
    expect(() => clearText(device, Buffer.from('63616e617279ff', 'hex'))).toThrow(
      expect.toSatisfy((error) => error instanceof TypeError && !error.message.includes('canary')),
    );
  });
});

/** With many zeros, and outside of what SocketAddress writes as IPv4. */
const ipv6Groups = fc
  .array(fc.oneof(fc.constant(0), fc.nat(0xffff)), { minLength: 8, maxLength: 8 })
  .filter((groups) => groups.slice(0, 5).some((group) => group !== 0));
