import { Presets, SingleBar } from 'cli-progress';

/** Shows on standard error how far a long piece of work is: a bar on a terminal, a line a second elsewhere. */
export interface Progress {
  /** @param total how much there is to do, as far as is known; grows when more is done than that */
  begin(label: string, total: number): void;
  advance(by: number): void;
  /** A line for the reader between the figures. */
  note(text: string): void;
  end(): void;
}

const LINE_INTERVAL = 1_000;

/** Milliseconds after which a person wonders. */
const PATIENCE = 2_000;

/** Says on standard error what takes so long, of work that can't tell how far it is. */
export async function sayWhatTakesLong<T>(text: string, work: () => Promise<T>): Promise<T> {
  const timer = setTimeout(() => process.stderr.write(`${text}\n`), PATIENCE);
  try {
    return await work();
  } finally {
    clearTimeout(timer);
  }
}

export function createProgress(): Progress {
  return process.stderr.isTTY ? barProgress() : lineProgress();
}

function barProgress(): Progress {
  let bar: SingleBar | undefined;
  return {
    begin(label, total) {
      bar = new SingleBar(
        {
          format: `${label} {bar} {value}/{total}`,
          stream: process.stderr,
          hideCursor: true,
          gracefulExit: false,
        },
        Presets.shades_classic,
      );
      bar.start(total, 0);
    },
    advance(by) {
      if (bar === undefined) return;
      const value = (bar.getProgress() * bar.getTotal() || 0) + by;
      if (value > bar.getTotal()) bar.setTotal(Math.round(value));
      bar.increment(by);
    },
    note(text) {
      // The bar redraws itself below the line.
      process.stderr.write(`\r\u001B[K${text}\n`);
    },
    end() {
      bar?.stop();
      bar = undefined;
    },
  };
}

function lineProgress(): Progress {
  let label = '';
  let total = 0;
  let done = 0;
  let shown = -1;
  let shownAt = 0;
  const show = () => {
    if (shown === done) return;
    shown = done;
    shownAt = performance.now();
    process.stderr.write(`${label} ${done}/${Math.max(total, done)}\n`);
  };
  return {
    begin(newLabel, newTotal) {
      label = newLabel;
      total = newTotal;
      done = 0;
      shown = -1;
      shownAt = performance.now();
    },
    advance(by) {
      done += by;
      if (done === total || performance.now() - shownAt > LINE_INTERVAL) show();
    },
    note(text) {
      process.stderr.write(`${text}\n`);
    },
    end: show,
  };
}
