import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { blocksFor, within } from '../../../lambda/postgres/rekey/blocks.ts';
import { createMeter } from '../../../lambda/postgres/rekey/progress.ts';

describe('the meter of a rekey', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['performance'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('says how much is done, how fast, and what is left, every two seconds and at the end', () => {
    const notes: string[] = [];
    const progress = { begin() {}, advance() {}, note: (text: string) => notes.push(text), end() {} };
    const meter = createMeter('rows rewritten', 10_000, progress);

    for (let batch = 0; batch < 10; batch++) {
      vi.advanceTimersByTime(500);
      meter.add(1_000);
    }
    meter.add(0);

    expect(notes).toEqual([
      'rows rewritten: 4000, 2000 a second; 6000 left, 3 s',
      'rows rewritten: 8000, 2000 a second; 2000 left, 1 s',
      'rows rewritten: 10000, 2000 a second; 0 left, 0 s',
    ]);
  });
});

describe('a batch of a rekey', () => {
  it.each([
    [1, 1],
    [2_000, 63],
    [100_000, 3_125],
  ])('of %i rows is %i blocks', (rows, blocks) => {
    expect(blocksFor(rows)).toBe(blocks);
  });

  it('is a range of blocks of one leaf, which the planner finds by its bounds', () => {
    const condition = " AND t.tableoid = 7 AND (create_date >= '2026-11-22'::date)";

    expect(within({ name: 't_20261122', table: 't', condition, blocks: 9 }, 4, 8)).toBe(
      `t.ctid >= '(4,0)' AND t.ctid < '(8,0)'${condition}`,
    );
  });
});
