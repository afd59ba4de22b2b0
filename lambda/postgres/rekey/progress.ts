/** Where long work says how far it is. */
export interface RekeyProgress {
  /** @param total how much there is to do, as far as is known */
  begin(label: string, total: number): void;
  advance(by: number): void;
  /** A line for the reader. */
  note(text: string): void;
  end(): void;
}

/** Says how much has been done, how fast, and what is left. */
export interface Meter {
  add(done: number): void;
}

const LINE_INTERVAL = 2_000;

/** @param total how much there is to do, as far as is known */
export function createMeter(label: string, total: number, progress: RekeyProgress): Meter {
  const start = performance.now();
  let shownAt = start;
  let done = 0;
  return {
    add(more) {
      done += more;
      const now = performance.now();
      if (more === 0 || (now - shownAt < LINE_INTERVAL && done !== total)) return;
      shownAt = now;
      const rate = (done / (now - start)) * 1_000;
      const left = Math.max(0, total - done);
      progress.note(
        `${label}: ${done}, ${Math.round(rate)} a second; ${left} left, ${Math.ceil(left / rate)} s`,
      );
    },
  };
}
