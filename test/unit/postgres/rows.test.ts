import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EventIdentity } from '../../../lambda/events/parse.ts';
import { packCells } from '../../../lambda/masking/cells.ts';
import type { StorableChunk } from '../../../lambda/masking/table-masker.ts';
import { Tokens } from '../../../lambda/masking/tokens.ts';
import { divide, type SortedRows, sortRows } from '../../../lambda/postgres/write/rows.ts';

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
