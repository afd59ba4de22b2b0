import { describe, expect, it, vi } from 'vitest';
import { madeAhead, onceMade } from '../../lambda/aws/once-made.ts';

describe('what is made once', () => {
  it('is made when it is asked for first, and kept', async () => {
    let made = 0;
    const get = onceMade(async () => ++made);
    expect(made).toBe(0);

    expect(await Promise.all([get(), get()])).toEqual([1, 1]);
    expect(await get()).toBe(1);
  });

  it('is tried again after it failed, by those who ask later', async () => {
    let tries = 0;
    const get = onceMade(async () => {
      tries++;
      if (tries === 1) throw new Error('once');
      return tries;
    });

    const both = await Promise.allSettled([get(), get()]);

    expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(await get()).toBe(2);
  });
});

describe('what is made ahead', () => {
  it('is begun before it is asked for, and made once', async () => {
    let made = 0;
    const get = madeAhead(async () => ++made);

    await vi.waitFor(() => expect(made).toBe(1));

    expect(await get()).toBe(1);
  });

  it('and fails harms nobody who does not ask, and is tried again for who does', async () => {
    let tries = 0;
    const get = madeAhead(async () => {
      tries++;
      if (tries === 1) throw new Error('once');
      return tries;
    });

    await vi.waitFor(() => expect(tries).toBe(1));

    expect(await get()).toBe(2);
  });
});
