import { describe, expect, it } from 'vitest';
import { onceMade } from '../../lambda/aws/once-made.ts';

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
