import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type AuditRow,
  BEFORE_THE_FIRST,
  ChainChecker,
  chainHash,
  digestOf,
  type Verdict,
} from '../../../lambda/postgres/audit/chain.ts';

const TOKEN = `s1~k1~${Buffer.alloc(32).toString('base64url')}`;

function chain(count: number): AuditRow[] {
  const rows: AuditRow[] = [];
  for (let number = 1; number <= count; number++) {
    const row = {
      number,
      at: `2026-11-22T10:00:00.00000${number}Z`,
      who: 'alice@host',
      action: 'recover',
      reason: `ticket ${number}`,
      columns: ['masked_ip'],
      kids: ['k1'],
      count: 1,
      digest: digestOf([TOKEN]),
      previous: rows.at(-1)?.hash ?? BEFORE_THE_FIRST,
    } as const;
    rows.push({ ...row, hash: chainHash(row) });
  }
  return rows;
}

function verdictOf(rows: readonly AuditRow[]): Verdict {
  const checker = new ChainChecker();
  for (const row of rows) checker.add(row);
  return checker.verdict();
}

describe('the hash of a row', () => {
  it('is that of the JSON array that is documented', () => {
    const row: Omit<AuditRow, 'hash'> = {
      number: 7,
      at: '2026-11-22T10:00:00.123456Z',
      who: 'alice@host',
      action: 'keys add',
      reason: 'Ünicode "quoted"',
      columns: ['masked_ip', 'masked_device_id'],
      count: 3,
      kids: ['k1'],
      digest: 'd'.repeat(64),
      previous: 'e'.repeat(64),
    };
    const text = `["7","2026-11-22T10:00:00.123456Z","alice@host","keys add","Ünicode \\"quoted\\"",["masked_ip","masked_device_id"],"3",["k1"],"${'d'.repeat(64)}","${'e'.repeat(64)}"]`;

    expect(chainHash(row)).toBe(createHash('sha256').update(text, 'utf8').digest('hex'));
  });

  it('differs for any two rows that differ', () => {
    const texts = fc.array(fc.string(), { maxLength: 3 });
    const row = fc.record({
      number: fc.nat(),
      at: fc.string(),
      who: fc.string(),
      action: fc.constantFrom('recover', 'lookup'),
      reason: fc.string(),
      columns: texts,
      count: fc.nat(),
      kids: texts,
      digest: fc.string(),
      previous: fc.string(),
    }) as fc.Arbitrary<Omit<AuditRow, 'hash'>>;
    fc.assert(
      fc.property(row, row, (one, other) => {
        expect(chainHash(one) === chainHash(other)).toBe(JSON.stringify(one) === JSON.stringify(other));
      }),
    );
  });
});

describe('a digest', () => {
  it('is of the tokens in their order', () => {
    const other = `h1~k2~${Buffer.alloc(32).toString('base64url')}`;

    expect(digestOf([TOKEN, other])).toBe(
      createHash('sha256')
        .update(JSON.stringify([TOKEN, other]))
        .digest('hex'),
    );
    expect(digestOf([TOKEN, other])).not.toBe(digestOf([other, TOKEN]));
    expect(digestOf([TOKEN])).not.toBe(digestOf([TOKEN, TOKEN]));
  });

  it('says nothing of what is no token, so that nobody finds an address by trying all of them', () => {
    expect(digestOf([TOKEN, '203.0.113.7'])).toBe(digestOf([TOKEN, '192.0.2.1']));
  });
});

describe('a chain', () => {
  it.each([0, 1, 5])('of %i rows that nobody touched has no fault', (count) => {
    const rows = chain(count);

    expect(verdictOf(rows)).toEqual({ count, head: rows.at(-1)?.hash ?? BEFORE_THE_FIRST, faults: [] });
  });

  it.each<[keyof AuditRow, unknown]>([
    ['at', '2026-11-22T10:00:01.000000Z'],
    ['who', 'mallory@host'],
    ['action', 'lookup'],
    ['reason', 'another'],
    ['columns', ['masked_ip', 'x']],
    ['count', 2],
    ['kids', []],
    ['digest', 'f'.repeat(64)],
  ])('shows which row has another %s', (name, value) => {
    const rows = chain(5);
    rows[2] = { ...rows[2]!, [name]: value };

    expect(verdictOf(rows).faults).toEqual([{ number: 3, fault: 'altered' }]);
  });

  it('shows a row that was replaced by one with a hash of its own', () => {
    const rows = chain(5);
    const replaced = { ...rows[2]!, reason: 'another' };
    rows[2] = { ...replaced, hash: chainHash(replaced) };

    expect(verdictOf(rows).faults).toEqual([{ number: 4, fault: 'unlinked' }]);
  });

  it('shows a beginning that was replaced by a row which goes on from another chain', () => {
    const [, second] = chain(2);
    const replaced = { ...second!, number: 1 };

    expect(verdictOf([{ ...replaced, hash: chainHash(replaced) }]).faults).toEqual([
      { number: 1, fault: 'unlinked' },
    ]);
  });

  it.each<[string, number, number, unknown]>([
    ['first', 0, 1, { number: 1, fault: 'missing', rows: 1 }],
    ['third', 2, 1, { number: 3, fault: 'missing', rows: 1 }],
    ['third and fourth', 2, 2, { number: 3, fault: 'missing', rows: 2 }],
  ])('shows that its %s rows are missing', (_name, from, count, fault) => {
    const rows = chain(5);
    rows.splice(from, count);

    expect(verdictOf(rows).faults).toEqual([fault]);
  });

  it('shows rows that changed places', () => {
    const rows = chain(5);
    const [second, third] = [rows[1]!, rows[2]!];
    rows[1] = { ...third, number: 2 };
    rows[2] = { ...second, number: 3 };

    expect(verdictOf(rows).faults.map(({ number }) => number)).toEqual(expect.arrayContaining([2, 3]));
  });

  it('shows a number that is there twice', () => {
    const rows = chain(3);
    rows.splice(2, 0, { ...rows[1]!, reason: 'another' });

    expect(verdictOf(rows).faults).toContainEqual({ number: 2, fault: 'doubled' });
  });
});
