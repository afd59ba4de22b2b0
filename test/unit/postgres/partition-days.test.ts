import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  dayOf,
  daysCovered,
  expired,
  firstMissing,
  isoDate,
  type Partition,
} from '../../../lambda/postgres/partitions/days.ts';

const day = fc.integer({ min: 0, max: 100_000 });
const partitions = fc.array(
  fc
    .tuple(day, fc.integer({ min: 1, max: 40 }))
    .map(([from, length]): Partition => ({ name: `p${from}`, from, to: from + length })),
);
const covers = (found: readonly Partition[], one: number) =>
  found.some(({ from, to }) => from <= one && one < to);

describe('a day', () => {
  it.each([
    ['1970-01-01T00:00:00Z', '1970-01-01'],
    ['2024-02-29T23:59:59.999Z', '2024-02-29'],
    ['2024-03-01T00:00:00Z', '2024-03-01'],
    ['2026-10-25T01:30:00+02:00', '2026-10-24'],
    ['9999-12-31T23:59:59.999Z', '9999-12-31'],
  ])('is that of UTC: %s is %s', (time, date) => {
    expect(isoDate(dayOf(Date.parse(time)))).toBe(date);
  });
});

describe('days ahead', () => {
  it('are missing exactly where no partition has them, the first one first', () => {
    fc.assert(
      fc.property(partitions, day, fc.nat(20), (found, today, ahead) => {
        const missing = firstMissing(found, { today, ahead });
        const days = Array.from({ length: ahead + 1 }, (_, i) => today + i);

        expect(missing).toBe(days.find((one) => !covers(found, one)));
      }),
    );
  });

  it.each([
    [[], 0],
    [[{ name: 'yesterday', from: 99, to: 100 }], 0],
    [[{ name: 'tomorrow', from: 101, to: 102 }], 0],
    [[{ name: 'today', from: 100, to: 101 }], 1],
    [
      [
        { name: 'history', from: -Infinity, to: 101 },
        { name: 'later', from: 101, to: Infinity },
      ],
      8,
    ],
    [
      [
        { name: 'a', from: 90, to: 103 },
        { name: 'b', from: 104, to: 110 },
      ],
      3,
    ],
  ])('are counted from today on, as far as they follow each other: %j', (found, count) => {
    expect(daysCovered(found, { today: 100, ahead: 7 })).toBe(count);
  });
});

describe('what expires', () => {
  it('is every partition of which no day is kept, and no other, the oldest first', () => {
    fc.assert(
      fc.property(partitions, day, fc.integer({ min: 1, max: 3650 }), (found, today, retentionDays) => {
        const gone = expired(found, { today, retentionDays });

        for (const { to } of gone) expect(to - 1).toBeLessThan(today - retentionDays);
        for (const { to } of found.filter((one) => !gone.includes(one))) {
          expect(to - 1).toBeGreaterThanOrEqual(today - retentionDays);
        }
        expect(gone.map(({ to }) => to)).toEqual(gone.map(({ to }) => to).toSorted((a, b) => a - b));
      }),
    );
  });

  it('has N days before today left', () => {
    const days = Array.from({ length: 11 }, (_, i): Partition => ({ name: `${i}`, from: i, to: i + 1 }));

    expect(expired(days, { today: 10, retentionDays: 3 }).map(({ name }) => name)).toEqual([
      '0',
      '1',
      '2',
      '3',
      '4',
      '5',
      '6',
    ]);
  });
});
