import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createSealerMemory } from '../../../lambda/masking/sealer-memory.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'] });
});
afterEach(() => {
  vi.useRealTimers();
});

const MINUTE = 60_000;

describe('what is known to be in the vault', () => {
  it('is what was added, and nothing else', () => {
    const memory = createSealerMemory();
    memory.add(['a', 'b']);

    expect(['a', 'b', 'c'].map((token) => memory.has(token))).toEqual([true, true, false]);
  });

  it('is forgotten after five minutes at the latest, however often it is asked for', () => {
    for (let start = 0; start < 6; start++) {
      const memory = createSealerMemory();
      vi.advanceTimersByTime(start * MINUTE);
      memory.add(['a']);
      for (let second = 0; second < 300; second++) {
        vi.advanceTimersByTime(1_000);
        memory.add([`other ${second}`]);
        memory.has('a');
      }
      expect(memory.has('a')).toBe(false);
    }
  });

  it.each([10, 100, 149, 151, 200, 299])(
    'is forgotten by then where nobody asks but after %i seconds',
    (seconds) => {
      const memory = createSealerMemory();
      memory.add(['a']);
      vi.advanceTimersByTime(seconds * 1_000);
      expect(memory.has('a')).toBe(true);
      vi.advanceTimersByTime(300_000 - seconds * 1_000);

      expect(memory.has('a')).toBe(false);
    },
  );

  it('is kept for half of that at least', () => {
    const memory = createSealerMemory();
    vi.advanceTimersByTime(2 * MINUTE);
    memory.add(['a']);
    vi.advanceTimersByTime(2.5 * MINUTE - 1);

    expect(memory.has('a')).toBe(true);
  });

  it('is forgotten after a pause in which nobody asked', () => {
    const memory = createSealerMemory();
    memory.add(['a']);
    vi.advanceTimersByTime(60 * MINUTE);

    expect(memory.has('a')).toBe(false);
  });

  it('is forgotten when the clock is set back', () => {
    const memory = createSealerMemory();
    vi.advanceTimersByTime(60 * MINUTE);
    memory.add(['a']);
    vi.setSystemTime(Date.now() - 60 * MINUTE);

    expect(memory.has('a')).toBe(false);
  });

  it('is never more than its size, and what came last stays', () => {
    const memory = createSealerMemory({ size: 100 });
    const tokens = Array.from({ length: 1_000 }, (_, i) => String(i));
    memory.add(tokens);

    const known = tokens.filter((token) => memory.has(token));
    expect(known.length).toBeLessThanOrEqual(100);
    expect(known.length).toBeGreaterThanOrEqual(50);
    expect(known.at(-1)).toBe('999');
  });

  it('is of one connection', () => {
    const memory = createSealerMemory();
    const [first, second] = [{}, {}];
    memory.connected(first);
    memory.add(['a']);

    memory.connected(first);
    expect(memory.has('a')).toBe(true);
    memory.connected(second);
    expect(memory.has('a')).toBe(false);
  });

  it('is nothing when it was cleared', () => {
    const memory = createSealerMemory({ size: 4 });
    memory.add(['a', 'b', 'c']);
    memory.clear();

    expect(['a', 'b', 'c'].filter((token) => memory.has(token))).toEqual([]);
  });
});
