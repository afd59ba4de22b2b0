/** Milliseconds. */
export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/**
 * A clock of discrete events. While real work is being done it goes as the real clock does, so that work which is done at
 * once is at once here too; else it jumps to the next event.
 */
export interface VirtualClock {
  /** Milliseconds since 1970 UTC. */
  now(): number;
  /** Resolves at that time, or at once where it is over. */
  until(time: number): Promise<void>;
  /** Does real work. Everything else that a process of the simulation waits for has to be a time of this clock. */
  during<T>(work: () => Promise<T>): Promise<T>;
  /** Runs a process of the simulation, which need not end. What it throws ends the simulation. */
  start(process: () => Promise<void>): void;
  /** Goes on until the condition holds. @throws what a process threw */
  run(isOver: () => boolean): Promise<void>;
}

export interface ClockOptions {
  readonly start: number;
  /** Milliseconds of this clock that one of real work counts for. @default 1 */
  readonly speed?: number;
}

export function createClock({ start, speed = 1 }: ClockOptions): VirtualClock {
  const alarms = createAlarms();
  let time = start;
  /** Real work that is being done, and the real time that is already counted of it. */
  let works = 0;
  let counted = 0;
  let workEnded = () => {};
  let failure: { readonly error: unknown } | undefined;

  function count(): void {
    const real = performance.now();
    if (works > 0) time += (real - counted) * speed;
    counted = real;
  }

  /** Resolves when the next event is due. */
  async function proceed(): Promise<void> {
    const next = alarms.next();
    if (works === 0) {
      if (next === undefined) throw new Error('nothing will ever happen again');
      time = Math.max(time, next);
      return;
    }
    await new Promise<void>((resolve) => {
      const wait = next === undefined ? undefined : Math.max(0, (next - time) / speed);
      const timer = wait === undefined ? undefined : setTimeout(resolve, Math.ceil(wait));
      workEnded = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    count();
  }

  return {
    now: () => time,
    until: (due) => new Promise((resolve) => alarms.set(due, resolve)),
    async during(work) {
      count();
      works++;
      try {
        return await work();
      } finally {
        count();
        works--;
        workEnded();
      }
    },
    start(process) {
      process().catch((error: unknown) => {
        failure ??= { error };
      });
    },
    async run(isOver) {
      for (;;) {
        // Every process has come to wait for a time or for real work.
        await new Promise((resolve) => setImmediate(resolve));
        if (failure !== undefined) throw failure.error;
        if (isOver()) return;
        if (!alarms.ring(time)) await proceed();
      }
    },
  };
}

interface Alarms {
  set(due: number, resolve: () => void): void;
  next(): number | undefined;
  /** Resolves what is due first. @returns whether anything was */
  ring(now: number): boolean;
}

/** Few at a time, so they are kept sorted, the first one last. */
function createAlarms(): Alarms {
  const alarms: { readonly due: number; readonly resolve: () => void }[] = [];
  return {
    set(due, resolve) {
      const place = alarms.findIndex((alarm) => alarm.due <= due);
      alarms.splice(place < 0 ? alarms.length : place, 0, { due, resolve });
    },
    next: () => alarms.at(-1)?.due,
    ring(now) {
      const first = alarms.at(-1);
      if (first === undefined || first.due > now) return false;
      alarms.pop();
      first.resolve();
      return true;
    },
  };
}
