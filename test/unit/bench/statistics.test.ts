import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ratiosOf, spreadOf } from '../../bench/statistics.ts';

describe('a spread', () => {
  it.each<[sample: number[], lower: number, median: number, upper: number]>([
    [[7], 7, 7, 7],
    [[1, 2], 1.25, 1.5, 1.75],
    [[3, 1, 2], 1.5, 2, 2.5],
    [[4, 1, 3, 2], 1.75, 2.5, 3.25],
    [[9, 1, 5, 3, 7], 3, 5, 7],
    // numpy.quantile([12.1, 3.4, 8.8, 7.25, 19.6, 4.9], [.25, .5, .75])
    [[12.1, 3.4, 8.8, 7.25, 19.6, 4.9], 5.4875, 8.025, 11.275],
  ])('of %j has the quartiles of R and NumPy', (sample, lower, median, upper) => {
    const spread = spreadOf(sample);

    expect(spread.lower).toBeCloseTo(lower, 10);
    expect(spread.median).toBeCloseTo(median, 10);
    expect(spread.upper).toBeCloseTo(upper, 10);
  });

  it('lies in the sample, in order, whatever the order of the sample', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 1e6, noNaN: true }), { minLength: 1 }), (sample) => {
        const spread = spreadOf(sample);
        const inOrder = [Math.min(...sample), spread.lower, spread.median, spread.upper, Math.max(...sample)];
        expect(inOrder).toEqual(inOrder.toSorted((a, b) => a - b));
        expect(spreadOf(sample.toReversed())).toEqual(spread);
      }),
    );
  });

  it('of nothing is refused', () => {
    expect(() => spreadOf([])).toThrow(RangeError);
  });
});

describe('ratios', () => {
  it('are those of each round, so that what slows a whole round down is not in them', () => {
    expect(ratiosOf([2, 20, 200], [1, 10, 100])).toEqual([2, 2, 2]);
  });

  it('of samples of other rounds are refused', () => {
    expect(() => ratiosOf([1, 2], [1])).toThrow(RangeError);
  });
});
