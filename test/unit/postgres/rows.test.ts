import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EventIdentity } from '../../../lambda/events/parse.ts';
import { packCells } from '../../../lambda/masking/cells.ts';
import type { StorableChunk } from '../../../lambda/masking/table-masker.ts';
import { Tokens } from '../../../lambda/masking/tokens.ts';
import { divide, replayable, type SortedRows, sortRows } from '../../../lambda/postgres/rows.ts';

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

  it('keeps NULL and zero', () => {
    const chunk: StorableChunk = {
      events: [event('b'), event('a')],
      columns: [
        { kind: 'plain', values: [0, null] },
        { kind: 'masked', values: noTokens(2) },
      ],
    };

    expect(sortRows([chunk]).columns).toEqual([
      [null, 0],
      [null, null],
    ]);
  });

  it('is empty where there is nothing', () => {
    expect(sortRows([])).toEqual({ events: [], columns: [] });
    expect(sortRows([chunkOf([])])).toEqual({ events: [], columns: [[], []] });
  });

  it('does not change the chunks', () => {
    const chunk = chunkOf(['b', 'a']);
    const contents = () => [chunk.events, ...chunk.columns.map(({ values }) => [...values])];
    const before = structuredClone(contents());

    sortRows([chunk]);

    expect(contents()).toEqual(before);
  });
});

describe('divide', () => {
  it('gives parts of about the same size, none of them empty, which together are the whole', () => {
    fc.assert(
      fc.property(batches, fc.integer({ min: 1, max: 5 }), (ids, parts) => {
        const rows = sortRows(ids.map(chunkOf));
        const count = rows.events.length;

        const divided = divide(rows, parts);

        expect(divided.flatMap(({ events }) => events)).toEqual(rows.events);
        expect(rows.columns.map((_, i) => divided.flatMap(({ columns }) => columns[i]!))).toEqual(
          rows.columns,
        );
        expect(divided).toHaveLength(Math.min(parts, count));
        const sizes = divided.map(({ events }) => events.length);
        expect(Math.max(0, ...sizes) - Math.min(...sizes, count)).toBeLessThanOrEqual(1);
      }),
    );
  });
});

describe('replayable', () => {
  it('gives at every run all items from the first', () => {
    const items = replayable(() => [1, 2, 3].values());

    expect([...items]).toEqual([1, 2, 3]);
    expect([...items]).toEqual([1, 2, 3]);
    expect(items.all()).toEqual([1, 2, 3]);
  });

  it('opens its source when the first item is asked for', () => {
    let opened = 0;
    const items = replayable(() => {
      opened++;
      return [1].values();
    });

    expect(opened).toBe(0);
    expect([...items, ...items]).toEqual([1, 1]);
    expect(opened).toBe(1);
  });

  it('takes each item from the source once, when it is needed', () => {
    const taken: number[] = [];
    const items = replayable(() => recording([1, 2, 3], taken));

    const first = items[Symbol.iterator]();
    expect([first.next().value, first.next().value]).toEqual([1, 2]);
    expect(taken).toEqual([1, 2]);

    expect(items.all()).toEqual([1, 2, 3]);
    expect(taken).toEqual([1, 2, 3]);
  });

  it('continues after a run that was broken off', () => {
    const items = replayable(() => [1, 2, 3].values());

    for (const item of items) if (item === 2) break;

    expect([...items]).toEqual([1, 2, 3]);
  });

  it('serves runs that take turns', () => {
    const items = replayable(() => [1, 2, 3].values());
    const [one, other] = [items[Symbol.iterator](), items[Symbol.iterator]()];

    const turns = [one, other, other, one, one, other].map((run) => run.next().value);

    expect(turns).toEqual([1, 1, 2, 2, 3, 3]);
  });

  it('may be empty', () => {
    expect(replayable(() => [].values()).all()).toEqual([]);
  });

  it('passes on what the source throws and says that it was the source', () => {
    const items = replayable(() => failingAfter([1, 2]));
    const got: number[] = [];

    expect(() => {
      for (const item of items) got.push(item);
    }).toThrow('source failed');

    expect(got).toEqual([1, 2]);
    expect(items.failed()).toBe(true);
  });

  it('has not failed where only its reader threw', () => {
    const items = replayable(() => [1, 2].values());

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
  return { messageId: `message ${eventId}`, eventId, date: '2023-11-14' };
}

/** Rows whose first column tells which event they belong to. */
function chunkOf(ids: readonly string[]): StorableChunk {
  return {
    events: ids.map(event),
    columns: [
      { kind: 'plain', values: ids.map((id) => `user ${id}`) },
      { kind: 'masked', values: noTokens(ids.length) },
    ],
  };
}

function noTokens(rows: number): Tokens {
  return Tokens.encode('', packCells([])).spread(new Array<boolean>(rows).fill(false));
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
