/** Median and quartiles of a sample. */
export interface Spread {
  readonly lower: number;
  readonly median: number;
  readonly upper: number;
}

/** @throws RangeError for an empty sample */
export function spreadOf(sample: readonly number[]): Spread {
  if (sample.length === 0) throw new RangeError('expected a sample of at least one value, got none');
  const sorted = sample.toSorted((a, b) => a - b);
  return { lower: quantile(sorted, 0.25), median: quantile(sorted, 0.5), upper: quantile(sorted, 0.75) };
}

/** Interpolates between the two nearest values: Hyndman and Fan's type 7, which R and NumPy have as default. */
function quantile(sorted: readonly number[], share: number): number {
  const place = (sorted.length - 1) * share;
  const below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below]! + (sorted[above]! - sorted[below]!) * (place - below);
}

/**
 * The ratios of what was measured in the same round. Neighbours in time are disturbed alike, so the median of these is
 * steadier on a busy machine than the ratio of two medians.
 *
 * @throws RangeError where the samples are not of the same rounds
 */
export function ratiosOf(sample: readonly number[], base: readonly number[]): number[] {
  if (sample.length !== base.length) {
    throw new RangeError(`expected as many values as in the base, ${base.length}, got ${sample.length}`);
  }
  return sample.map((value, round) => value / base[round]!);
}
