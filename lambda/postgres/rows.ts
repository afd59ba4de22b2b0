import type { EventIdentity } from '../events/parse.ts';
import type { StorableChunk, StorableColumn } from '../masking/table-masker.ts';

/** One column of storable values. */
export type SqlValues = StorableColumn['values'];

/** Rows by columns, in the order in which the idempotent INSERT takes them. */
export interface SortedRows {
  readonly events: readonly EventIdentity[];
  /** One for each column of the declaration, in its order. */
  readonly columns: readonly SqlValues[];
}

/**
 * The rows of several chunks as one, sorted by event id and date: two transactions that insert the same ids in different
 * orders wait for each other until Postgres kills one (40P01).
 *
 * @param include which rows; all of them where it is missing
 */
export function sortRows(
  chunks: readonly StorableChunk[],
  include: (event: EventIdentity) => boolean = () => true,
): SortedRows {
  const places = chunks.flatMap(({ events }, chunk) =>
    events.flatMap((event, row) => (include(event) ? [{ event, chunk, row }] : [])),
  );
  places.sort((a, b) => compareKeys(a.event, b.event));
  const width = chunks[0]?.columns.length ?? 0;
  return {
    events: places.map(({ event }) => event),
    columns: Array.from({ length: width }, (_, column) =>
      places.map(({ chunk, row }) => chunks[chunk]!.columns[column]!.values[row]!),
    ),
  };
}

function compareKeys(a: EventIdentity, b: EventIdentity): number {
  if (a.eventId !== b.eventId) return a.eventId < b.eventId ? -1 : 1;
  return a.date < b.date ? -1 : 1;
}

/** Rows from..to, `to` excluded. */
export function sliceRows({ events, columns }: SortedRows, from: number, to: number): SortedRows {
  return { events: events.slice(from, to), columns: columns.map((values) => values.slice(from, to)) };
}

/** What a source gave so far and will give, from its first item at each run. */
export interface Replayable<T> extends Iterable<T> {
  all(): readonly T[];
  /** True when the source gives nothing at all; takes its first item to know. */
  isEmpty(): boolean;
  /** True when the source itself threw. */
  failed(): boolean;
}

export function replayable<T>(source: Iterator<T>): Replayable<T> {
  const seen: T[] = [];
  let failed = false;
  const pull = () => {
    try {
      return source.next();
    } catch (error) {
      failed = true;
      throw error;
    }
  };
  function* replay() {
    for (let i = 0; ; i++) {
      if (i === seen.length) {
        const next = pull();
        if (next.done) return;
        seen.push(next.value);
      }
      yield seen[i]!;
    }
  }
  return {
    [Symbol.iterator]: replay,
    all: () => [...replay()],
    isEmpty: () => replay().next().done === true,
    failed: () => failed,
  };
}
