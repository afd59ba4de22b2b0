import { expect, it } from 'vitest';
import { measure } from '../../bench/rounds.ts';

const quiet = { begin() {}, advance() {}, note() {}, end() {} };

it('every round has all ways in the opposite order of the one before, and the warm-up does not count', async () => {
  const order: string[] = [];
  let clock = 0;
  const way = (name: string) => async () => {
    order.push(name);
    return ++clock;
  };

  const took = await measure('', { a: way('a'), b: way('b'), c: way('c') }, { rounds: 2, warmUp: 1 }, quiet);

  expect(order.join('')).toBe('abccbaabc');
  expect(took).toEqual({ a: [6, 7], b: [5, 8], c: [4, 9] });
});
