import { describe, expect, it } from 'vitest';
import { conditionOf, readValues, seek, valueOptions } from '../../../bin/keys/known-person.ts';
import type { TableDeclaration } from '../../../lambda/events/declaration.ts';
import { loginEvents, loginEventsWith } from '../../../lambda/events/login-event.ts';
import { parseKeyset } from '../../../lambda/masking/keyset.ts';
import { tokensOfValue } from '../../../lambda/masking/known-tokens.ts';
import { KEYSET_JSON } from '../../support/records.ts';

const keyset = parseKeyset(KEYSET_JSON);

/** Of another event: a nested source, and a second column of its domain. */
const signups = {
  table: 'signups',
  columns: [
    { column: 'campaign', source: ['campaign'], type: 'text', maxLength: 40 },
    { column: 'masked_email', source: ['contact', 'email_address'], type: 'text', mask: { domain: 'email' } },
    { column: 'masked_referrer', source: ['referrer'], type: 'text', mask: { domain: 'email' } },
    { column: 'masked_ip', source: ['ip'], type: 'address', mask: { domain: 'ip' } },
  ],
  repeats: { view: 'signup_repeats', count: 'signups', subject: 'campaign', subjects: 'campaigns' },
} as const satisfies TableDeclaration;

describe('a known person', () => {
  it('is given by one option for each source that has masked columns', () => {
    expect(valueOptions(loginEvents).map(({ long }) => long)).toEqual(['--ip', '--device-id']);
    expect(valueOptions(loginEventsWith({ ipNetwork: true })).map(({ long }) => long)).toEqual([
      '--ip',
      '--device-id',
    ]);
    expect(valueOptions(signups).map(({ long }) => long)).toEqual([
      '--contact-email-address',
      '--referrer',
      '--ip',
    ]);
  });

  it('is sought in every column of the domain, under every key and in both schemes', async () => {
    const values = await readValues(signups, { contactEmailAddress: ' jane@example.org' }, 'SUP-1');
    const tokens = tokensOfValue(keyset, signups.columns[1], Buffer.from('jane@example.org'));

    expect(new Set(tokens.map((token) => token.slice(0, 6)))).toEqual(
      new Set(['s1~k1~', 'h1~k1~', 's1~k2~', 'h1~k2~']),
    );
    expect(seek(keyset, signups, values)).toEqual([
      [
        { column: 'masked_email', tokens },
        { column: 'masked_referrer', tokens },
      ],
    ]);
  });

  it('is who has all of the values', async () => {
    const values = await readValues(signups, { referrer: 'jane@example.org', ip: '192.0.2.1' }, 'SUP-1');
    const { condition, values: parameters } = conditionOf(seek(keyset, signups, values));

    expect(condition).toBe(
      '(masked_email = ANY ($1::text[]) OR masked_referrer = ANY ($2::text[])) AND (masked_ip = ANY ($3::text[]))',
    );
    expect(parameters.map(({ length }) => length)).toEqual([4, 4, 4]);
  });

  it('is never sought by the network of the address', async () => {
    const declaration = loginEventsWith({ ipNetwork: true });
    const values = await readValues(declaration, { ip: '203.0.113.7' }, 'SUP-1');

    expect(
      seek(keyset, declaration, values)
        .flat()
        .map(({ column }) => column),
    ).toEqual(['masked_ip']);
  });
});
