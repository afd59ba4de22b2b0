import { beforeEach, describe, expect, it } from 'vitest';
import { clearText } from '../../lambda/events/clear-text.ts';
import type { TableDeclaration } from '../../lambda/events/declaration.ts';
import { unmask } from '../../lambda/masking/masker.ts';
import { migrate } from '../../lambda/postgres/schema/schema.ts';
import { useDatabase } from '../support/database.ts';
import { keyset, useFunctions } from '../support/function.ts';
import { record } from '../support/records.ts';

const database = useDatabase({ empty: true });
const createFunction = useFunctions();

/** A column of each policy. */
const visits = {
  table: 'visits',
  columns: [
    { column: 'page', source: ['page'], type: 'text', maxLength: 40 },
    { column: 'masked_mail', source: ['mail'], type: 'text', mask: { domain: 'mail' } },
    {
      column: 'kept_mail',
      source: ['mail'],
      type: 'text',
      mask: { domain: 'kept_mail', policy: 'recoverable' },
    },
    {
      column: 'lost_mail',
      source: ['mail'],
      type: 'text',
      mask: { domain: 'lost_mail', policy: 'irreversible' },
    },
    {
      column: 'masked_network',
      source: ['address'],
      type: 'address',
      mask: { domain: 'network', policy: 'network' },
    },
    { column: 'phone', source: ['phone'], type: 'text', mask: { policy: 'erase' } },
    { column: 'position', source: ['position', 'address'], type: 'address', mask: { policy: 'erase' } },
  ],
  repeats: { view: 'visit_repeats', count: 'visits', subject: 'page', subjects: 'pages' },
} as const satisfies TableDeclaration;
const network = visits.columns[4];

type Row = Record<string, string | null>;

function visit(address: string, changes: Record<string, unknown> = {}) {
  return record({ page: 'home', mail: `${address}@example.org`, address, ...changes });
}

beforeEach(async () => {
  await database.client.query('DROP TABLE IF EXISTS visits CASCADE; DROP TABLE IF EXISTS visits_keys');
  await migrate(database.client, visits);
});

describe('the policy of a column', () => {
  it.each([
    ['recoverable', 's1'],
    ['irreversible', 'h1'],
  ] as const)('decides what its rows hold, where the configuration says %s', async (masking, scheme) => {
    const { invoke } = createFunction({ databaseUrl: database.url, declaration: visits, masking });

    expect(await invoke([visit('203.0.113.7')])).toEqual([]);

    const [row] = await database.rows<Row>('SELECT * FROM visits');
    const schemes = Object.entries(row!).map(([name, value]) => [name, String(value).slice(0, 2)]);
    expect(Object.fromEntries(schemes)).toMatchObject({
      masked_mail: scheme,
      kept_mail: 's1',
      lost_mail: 'h1',
      masked_network: scheme,
    });
    expect(row).toMatchObject({ phone: null, position: null });
  });

  it('groups addresses by network, and gives nobody more than the network back', async () => {
    const { invoke } = createFunction({ databaseUrl: database.url, declaration: visits });
    const addresses = [
      '203.0.113.7',
      '::ffff:203.0.113.200',
      '203.0.112.7',
      '2001:db8:1::1',
      '2001:db8:1:f::',
    ];

    expect(await invoke(addresses.map((address) => visit(address)))).toEqual([]);

    const rows = await database.rows<{ token: string; visits: number }>(
      'SELECT masked_network AS token, count(*)::int AS visits FROM visits GROUP BY 1',
    );
    const opened = unmask(
      keyset,
      network,
      rows.map(({ token }) => token),
    );
    const found = rows.map(({ visits }, i) => [clearText(network, opened[i]!), visits]);
    expect(Object.fromEntries(found)).toEqual({
      '203.0.113.0/24': 2,
      '203.0.112.0/24': 1,
      '2001:db8:1::/48': 2,
    });
    expect(await database.rows('SELECT kind, visits::int FROM visit_repeats ORDER BY masked_value')).toEqual([
      { kind: 'network', visits: 2 },
      { kind: 'network', visits: 2 },
    ]);
  });

  it('erases whatever comes, and rejects nothing for it', async () => {
    const { invoke, reports } = createFunction({ databaseUrl: database.url, declaration: visits });
    const odd = [
      { phone: '+49 CANARY', position: { address: '203.0.113.9' } },
      { phone: 5, position: 'nowhere' },
      { phone: ['x\0'], position: { address: 'fe80::1%eth0' } },
      { phone: null, position: null },
      { phone: '\ud800', position: [] },
      {},
    ];

    expect(await invoke(odd.map((changes) => visit('203.0.113.7', changes)))).toEqual([]);

    expect(reports[0]).toMatchObject({ stored: odd.length, rejected: [] });
    expect(
      await database.rows(
        'SELECT count(phone)::int AS phones, count(position)::int AS positions FROM visits',
      ),
    ).toEqual([{ phones: 0, positions: 0 }]);
  });

  it('holds for rows that go in by INSERT, because one of the batch is there already', async () => {
    const { invoke, reports } = createFunction({ databaseUrl: database.url, declaration: visits });
    const known = visit('203.0.113.7', { phone: 5 });
    await invoke([known]);

    expect(await invoke([known, visit('203.0.113.8', { phone: 5 })])).toEqual([]);

    expect(reports[1]).toMatchObject({ stored: 1, duplicates: 1 });
    expect(
      await database.rows(
        'SELECT count(*)::int AS visits, count(DISTINCT masked_network)::int AS networks, count(phone)::int AS phones FROM visits',
      ),
    ).toEqual([{ visits: 2, networks: 1, phones: 0 }]);
  });

  it('may become to erase: rows of before keep their tokens until they are gone', async () => {
    const erasing: TableDeclaration = {
      ...visits,
      columns: visits.columns.map((column) =>
        column.column === 'masked_mail' ? { ...column, mask: { policy: 'erase' } } : column,
      ),
    };
    await createFunction({ databaseUrl: database.url, declaration: visits }).invoke([visit('203.0.113.7')]);

    await migrate(database.client, erasing);
    const { invoke } = createFunction({ databaseUrl: database.url, declaration: erasing });
    expect(await invoke([visit('203.0.113.8')])).toEqual([]);

    expect(await database.rows('SELECT masked_mail IS NULL AS erased FROM visits ORDER BY 1')).toEqual([
      { erased: false },
      { erased: true },
    ]);
  });
});
