import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { clearText } from '../../../lambda/events/clear-text.ts';
import type { AddressColumn, Masking, TableDeclaration } from '../../../lambda/events/declaration.ts';
import { fieldParser } from '../../../lambda/events/fields.ts';
import { loginEvents, loginEventsWith } from '../../../lambda/events/login-event.ts';
import { parseBatch } from '../../../lambda/events/parse.ts';
import { unmask } from '../../../lambda/masking/masker.ts';
import { tableMasker } from '../../../lambda/masking/table-masker.ts';
import { keyset } from '../../support/function.ts';
import { loginEvent, record } from '../../support/records.ts';
import { textMasker } from '../../support/tokens.ts';

const MASKINGS: readonly Masking[] = ['recoverable', 'irreversible'];
const ip: AddressColumn = loginEvents.columns[2];
const [network] = loginEvents.further;

/** Tokens of addresses as they come in events. */
function tokens(column: AddressColumn, masking: Masking, addresses: readonly string[]): (string | null)[] {
  const parse = fieldParser(column);
  return textMasker(keyset, masking, column)(addresses.map((text) => parse(text) as Uint8Array));
}

/** Many of few networks. */
const addresses = fc.array(
  fc.oneof(
    fc.tuple(fc.nat(1), fc.nat(255)).map(([net, host]) => `203.0.${net}.${host}`),
    fc.tuple(fc.nat(1), fc.nat(0xffff)).map(([net, host]) => `2001:db8:${net}:${host.toString(16)}::`),
    fc.ipV4(),
    fc.ipV6(),
  ),
  { minLength: 2, maxLength: 20 },
);

describe.each(MASKINGS)('network tokens, %s', (masking) => {
  it('are equal exactly where the networks are', () => {
    fc.assert(
      fc.property(addresses, (texts) => {
        const parse = fieldParser(network);
        const networks = texts.map((text) => clearText(network, parse(text) as Uint8Array));
        const masked = tokens(network, masking, texts);

        const pairs = texts.flatMap((_, i) => texts.map((_, j) => [i, j] as const));
        expect(pairs.filter(([i, j]) => (masked[i] === masked[j]) !== (networks[i] === networks[j]))).toEqual(
          [],
        );
      }),
      { numRuns: 200 },
    );
  });

  it('are those of no address, not even of the one that the network begins with', () => {
    fc.assert(
      fc.property(addresses, (texts) => {
        const first = [...texts, '203.0.113.0', '2001:db8:1::', '::'];
        const ofAddresses = new Set(tokens(ip, masking, first));

        expect(tokens(network, masking, first).filter((token) => ofAddresses.has(token))).toEqual([]);
      }),
      { numRuns: 100 },
    );
  });

  it('have one length, of IPv4 and IPv6', () => {
    const lengths = tokens(network, masking, ['203.0.113.7', '2001:db8::1']).map((token) => token?.length);
    expect(new Set(lengths).size).toBe(1);
  });
});

describe('a network token', () => {
  it('opens to the network, and the address is in it no more', () => {
    const [token] = tokens(network, 'recoverable', ['203.0.113.7']);

    const [bytes] = unmask(keyset, network, [token!]);
    expect(clearText(network, bytes!)).toBe('203.0.113.0/24');
    expect(unmask(keyset, ip, [token!])).toEqual([undefined]);
  });
});

describe('the login event', () => {
  const columnsOf = ({ columns }: TableDeclaration) => columns.map(({ column }) => column);

  it('has no network unless it is wanted, and then as the last of its columns', () => {
    expect(loginEventsWith({ ipNetwork: false })).toBe(loginEvents);
    expect(columnsOf(loginEventsWith({ ipNetwork: true }))).toEqual([
      ...columnsOf(loginEvents),
      'masked_ip_network',
    ]);
  });

  it('is rejected once for an address that has no network', () => {
    const [chunk] = parseBatch(loginEventsWith({ ipNetwork: true }), [record(loginEvent({ ip: 'nowhere' }))]);

    expect(chunk!.rejected.map(({ field, code }) => [field, code])).toEqual([['ip', 'format']]);
  });

  it('has the same tokens in its other columns, with the network and without', () => {
    const masked = [false, true].map((ipNetwork) => {
      const declaration = loginEventsWith({ ipNetwork });
      const [chunk] = parseBatch(declaration, [record(loginEvent({ user_id: 'u' }))]);
      return tableMasker(keyset, 'recoverable', declaration).mask(chunk!);
    });

    const values = masked.map(({ columns }) =>
      columns.map((column) => (column.kind === 'masked' ? column.values.at(0) : column.values[0])),
    );
    expect(values[1]!.slice(0, 6)).toEqual(values[0]);
    expect(values[1]![6]).toMatch(/^s1~k1~/);
  });
});
