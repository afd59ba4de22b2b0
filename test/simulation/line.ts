import type { Random } from '../soak/random.ts';

/** Messages that wait, in an order that is not strict. */
export interface Line {
  add(message: number): void;
  /** One of the first; undefined where there is none. */
  take(): number | undefined;
  length(): number;
}

/**
 * @param capacity messages at a time at most
 * @param disorder from how many of the first the next one is drawn
 */
export function createLine(capacity: number, disorder: number, random: Random): Line {
  const places = new Uint32Array(capacity);
  let head = 0;
  let length = 0;
  const place = (index: number) => (head + index) % capacity;
  return {
    add(message) {
      places[place(length++)] = message;
    },
    take() {
      if (length === 0) return undefined;
      const drawn = place(random.integer(0, Math.min(length, disorder) - 1));
      const message = places[drawn]!;
      places[drawn] = places[head]!;
      head = place(1);
      length--;
      return message;
    },
    length: () => length,
  };
}
