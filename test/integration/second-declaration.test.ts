import { expect, it } from 'vitest';
import type { TableDeclaration } from '../../lambda/events/declaration.ts';
import { unmask } from '../../lambda/masking/masker.ts';
import { migrate } from '../../lambda/postgres/schema/schema.ts';
import { useDatabase } from '../support/database.ts';
import { keyset, useFunctions } from '../support/function.ts';
import { record } from '../support/records.ts';

const database = useDatabase({ empty: true });
const createFunction = useFunctions();

/** Somebody else's events. Nothing but this declaration is written for them. */
const newsletterSignups = {
  table: 'newsletter_signups',
  columns: [
    { column: 'campaign', source: ['campaign', 'name'], type: 'text', maxLength: 40 },
    { column: 'masked_email', source: ['contact', 'email'], type: 'text', mask: { domain: 'email' } },
    {
      column: 'masked_referrer',
      source: ['contact', 'referred_by'],
      type: 'text',
      mask: { domain: 'email', policy: 'irreversible' },
      optional: true,
    },
    {
      column: 'masked_address',
      source: ['client', 'address'],
      type: 'address',
      mask: { domain: 'ip' },
      optional: true,
    },
  ],
  repeats: { view: 'newsletter_repeats', count: 'signups', subject: 'campaign', subjects: 'campaigns' },
} as const satisfies TableDeclaration;

it('another declaration goes through parser, masker, writer and migration as it is', async () => {
  await migrate(database.client, newsletterSignups);
  const { invoke, reports } = createFunction({ databaseUrl: database.url, declaration: newsletterSignups });
  const signup = (campaign: unknown, email: unknown, address?: string) =>
    record({
      campaign: { name: campaign },
      contact: { email },
      client: address === undefined ? null : { address },
    });

  const good = [
    signup('spring', 'jane@example.org', '203.0.113.7'),
    signup('autumn', ' jane@example.org '),
    signup('autumn', 'joe@example.org'),
  ];
  const bad = [
    signup('spring', undefined),
    signup(7, 'jim@example.org'),
    signup('spring', 'jil@example.org', 'nowhere'),
  ];
  const failed = await invoke([...good, ...bad]);

  expect(failed).toEqual(bad.map(({ messageId }) => messageId));
  expect(reports[0]?.rejected.map(({ field, code }) => [field, code])).toEqual([
    ['contact.email', 'missing'],
    ['campaign.name', 'type'],
    ['client.address', 'format'],
  ]);
  const rows = await database.rows<Record<string, string | null>>(
    'SELECT * FROM newsletter_signups ORDER BY campaign, masked_address NULLS LAST, masked_email',
  );
  expect(rows.map(({ campaign }) => campaign)).toEqual(['autumn', 'autumn', 'spring']);
  expect(rows.map(({ masked_address }) => masked_address === null)).toEqual([true, true, false]);
  expect(rows.every(({ masked_referrer }) => masked_referrer === null)).toBe(true);
  const emails = unmask(
    keyset,
    newsletterSignups.columns[1],
    rows.map(({ masked_email }) => masked_email ?? ''),
  );
  expect(emails.map((email) => Buffer.from(email ?? []).toString()).toSorted()).toEqual([
    'jane@example.org',
    'jane@example.org',
    'joe@example.org',
  ]);
  expect(await database.rows('SELECT kind, signups::int, campaigns::int FROM newsletter_repeats')).toEqual([
    { kind: 'email', signups: 2, campaigns: 2 },
  ]);
});
