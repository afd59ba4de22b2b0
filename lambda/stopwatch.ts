/** Divides time among names. */
export interface Stopwatch<Name extends string> {
  /** The time since the lap before, or since the start, was this. */
  lap(name: Name): void;
  /** Milliseconds. */
  total(name: Name): number;
}

/** Starts at once. Its clock goes on only while the environment is not frozen. */
export function createStopwatch<Name extends string>(): Stopwatch<Name> {
  const totals = new Map<Name, number>();
  let last = performance.now();
  return {
    lap(name) {
      const now = performance.now();
      totals.set(name, (totals.get(name) ?? 0) + now - last);
      last = now;
    },
    total: (name) => totals.get(name) ?? 0,
  };
}
