import { expect, it, vi } from 'vitest';
import { createStopwatch } from '../../lambda/stopwatch.ts';

it('a stopwatch divides all of the time among the names of its laps', () => {
  const now = vi.spyOn(performance, 'now');
  const at = (time: number) => now.mockReturnValueOnce(time);
  try {
    at(100);
    const watch = createStopwatch<'a' | 'b' | 'c'>();
    at(103);
    watch.lap('a');
    at(110);
    watch.lap('b');
    at(111);
    watch.lap('a');

    expect([watch.total('a'), watch.total('b'), watch.total('c')]).toEqual([4, 7, 0]);
  } finally {
    now.mockRestore();
  }
});
