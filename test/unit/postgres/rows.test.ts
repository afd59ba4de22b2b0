import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EventIdentity } from '../../../lambda/events/parse.ts';
import type { StorableChunk } from '../../../lambda/masking/table-masker.ts';
import { replayable, type SortedRows, sliceRows, sortRows } from '../../../lambda/postgres/rows.ts';

describe('sortRows', () => {
  it('makes one sorted batch of all chunks', () => {
    const sorted = sortRows([chunkOf(['c', 'a']), chunkOf(['d', 'b'])]);

    expect(idsOf(sorted)).toEqual(['a', 'b', 'c', 'd']);
    expect(sorted.columns).toEqual([
      ['user a', 'user b', 'user c', 'user d'],
      [null, null, null, null],
    ]);
  });

  it('sorts by event id and keeps every event with its values', () => {
    fc.assert(
      fc.property(batches, (ids) => {
        const sorted = sortRows(ids.map(chunkOf));

        expect(idsOf(sorted)).toEqual(ids.flat().sort());
        expect(sorted.columns[0] ?? []).toEqual(idsOf(sorted).map((id) => `user ${id}`));
      }),
    );
  });

  it('gives the same order however the rows are divided into chunks', () => {
    fc.assert(
      fc.property(batches, (ids) => {
        const all = ids.flat();

        expect(idsOf(sortRows(ids.map(chunkOf)))).toEqual(idsOf(sortRows([chunkOf(all.reverse())])));
      }),
    );
  });

  it('sorts one event id of two dates by date', () => {
    const onDay = (date: string): StorableChunk => {
      const { events, columns } = chunkOf(['a']);
      return { events: events.map((event) => ({ ...event, date })), columns };
    };
    const first = onDay('2024-01-01');
    const second = onDay('2024-01-02');

    const orders = [sortRows([first, second]), sortRows([second, first])];

    expect(orders.map(({ events }) => events.map(({ date }) => date))).toEqual([
      ['2024-01-01', '2024-01-02'],
      ['2024-01-01', '2024-01-02'],
    ]);
  });

  it('takes only the rows to include, in all columns', () => {
    const sorted = sortRows([chunkOf(['c', 'a']), chunkOf(['b'])], ({ eventId }) => eventId !== 'b');

    expect(idsOf(sorted)).toEqual(['a', 'c']);
    expect(sorted.columns).toEqual([
      ['user a', 'user c'],
      [null, null],
    ]);
  });

  it('keeps NULL and zero', () => {
    const chunk: StorableChunk = {
      events: [event('b'), event('a')],
      columns: [
        { kind: 'plain', values: [0, null] },
        { kind: 'masked', values: [null, null] },
      ],
    };

    expect(sortRows([chunk]).columns).toEqual([
      [null, 0],
      [null, null],
    ]);
  });

  it('is empty where there is nothing', () => {
    expect(sortRows([])).toEqual({ events: [], columns: [] });
    expect(sortRows([chunkOf(['a'])], () => false)).toEqual({ events: [], columns: [[], []] });
  });

  it('does not change the chunks', () => {
    const chunk = chunkOf(['b', 'a']);
    const before = structuredClone(chunk);

    sortRows([chunk]);

    expect(chunk).toEqual(before);
  });
});

describe('sliceRows', () => {
  it('divides rows so that the parts together are the whole', () => {
    fc.assert(
      fc.property(batches, fc.nat(60), (ids, at) => {
        const rows = sortRows(ids.map(chunkOf));
        const count = rows.events.length;

        const parts = [sliceRows(rows, 0, Math.min(at, count)), sliceRows(rows, Math.min(at, count), count)];

        expect(parts.flatMap(({ events }) => events)).toEqual(rows.events);
        expect(rows.columns.map((_, i) => parts.flatMap(({ columns }) => columns[i]!))).toEqual(rows.columns);
      }),
    );
  });
});

describe('replayable', () => {
  it('gives at every run all items from the first', () => {
    const items = replayable([1, 2, 3].values());

    expect([...items]).toEqual([1, 2, 3]);
    expect([...items]).toEqual([1, 2, 3]);
    expect(items.all()).toEqual([1, 2, 3]);
  });

  it('takes each item from the source once, when it is needed', () => {
    const taken: number[] = [];
    const items = replayable(recording([1, 2, 3], taken));

    const first = items[Symbol.iterator]();
    expect([first.next().value, first.next().value]).toEqual([1, 2]);
    expect(taken).toEqual([1, 2]);

    expect(items.all()).toEqual([1, 2, 3]);
    expect(taken).toEqual([1, 2, 3]);
  });

  it('continues after a run that was broken off', () => {
    const items = replayable([1, 2, 3].values());

    for (const item of items) if (item === 2) break;

    expect([...items]).toEqual([1, 2, 3]);
  });

  it('serves runs that take turns', () => {
    const items = replayable([1, 2, 3].values());
    const [one, other] = [items[Symbol.iterator](), items[Symbol.iterator]()];

    const turns = [one, other, other, one, one, other].map((run) => run.next().value);

    expect(turns).toEqual([1, 1, 2, 2, 3, 3]);
  });

  it('may be empty, and says so', () => {
    const items = replayable([].values());

    expect(items.isEmpty()).toBe(true);
    expect(items.all()).toEqual([]);
  });

  it('loses nothing by being asked whether it is empty', () => {
    const taken: number[] = [];
    const items = replayable(recording([1, 2], taken));

    expect([items.isEmpty(), items.isEmpty()]).toEqual([false, false]);
    expect(taken).toEqual([1]);
    expect([...items]).toEqual([1, 2]);
    expect(items.isEmpty()).toBe(false);
  });

  it('passes on what the source throws and says that it was the source', () => {
    const items = replayable(failingAfter([1, 2]));
    const got: number[] = [];

    expect(() => {
      for (const item of items) got.push(item);
    }).toThrow('source failed');

    expect(got).toEqual([1, 2]);
    expect(items.failed()).toBe(true);
  });

  it('has not failed where only its reader threw', () => {
    const items = replayable([1, 2].values());

    expect(() => {
      for (const _ of items) throw new Error('reader failed');
    }).toThrow('reader failed');

    expect(items.failed()).toBe(false);
    expect(items.all()).toEqual([1, 2]);
  });
});

/** Chunks of distinct event ids. */
const batches = fc.uniqueArray(fc.uuid(), { maxLength: 40 }).chain((ids) =>
  fc.array(fc.nat(ids.length), { maxLength: 3 }).map((cuts) => {
    const places = [0, ...cuts.sort((a, b) => a - b), ids.length];
    return places.slice(1).map((to, i) => ids.slice(places[i], to));
  }),
);

function event(eventId: string): EventIdentity {
  return { messageId: `message ${eventId}`, eventId, date: '2023-11-14', redelivered: false };
}

/** Rows whose first column tells which event they belong to. */
function chunkOf(ids: readonly string[]): StorableChunk {
  return {
    events: ids.map(event),
    columns: [
      { kind: 'plain', values: ids.map((id) => `user ${id}`) },
      { kind: 'masked', values: ids.map(() => null) },
    ],
  };
}

function idsOf({ events }: SortedRows): string[] {
  return events.map(({ eventId }) => eventId);
}

function* recording<T>(items: readonly T[], taken: T[]): Generator<T, void, void> {
  for (const item of items) {
    taken.push(item);
    yield item;
  }
}

function* failingAfter<T>(items: readonly T[]): Generator<T, void, void> {
  yield* items;
  throw new Error('source failed');
}
