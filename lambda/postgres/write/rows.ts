import type { EventIdentity } from '../../events/parse.ts';
import type { SealedValues } from '../../masking/sealer.ts';
import { type StorableChunk, storableValue } from '../../masking/table-masker.ts';

/** One column of storable values. */
export type SqlValues = readonly (string | number | null)[];

/** Rows by columns, in the order in which the idempotent INSERT takes them. */
export interface SortedRows {
  readonly events: readonly EventIdentity[];
  /** One for each column of the declaration, in its order. */
  readonly columns: readonly SqlValues[];
  /** Of their batch, where values are sealed. */
  readonly sealed?: SealedValues | undefined;
}

/**
 * The rows of several chunks as one, sorted by event id and date: two transactions that insert the same ids in different
 * orders wait for each other until Postgres kills one (40P01).
 */
export function sortRows(chunks: readonly StorableChunk[]): SortedRows {
  const places = chunks.flatMap(({ events }, chunk) => events.map((event, row) => ({ event, chunk, row })));
  places.sort((a, b) => compareKeys(a.event, b.event));
  const width = chunks[0]?.columns.length ?? 0;
  return {
    events: places.map(({ event }) => event),
    columns: Array.from({ length: width }, (_, column) =>
      places.map(({ chunk, row }) => storableValue(chunks[chunk]!.columns[column]!, row)),
    ),
    sealed: chunks[0]?.sealed,
  };
}

function compareKeys(a: EventIdentity, b: EventIdentity): number {
  if (a.eventId !== b.eventId) return a.eventId < b.eventId ? -1 : 1;
  return a.date < b.date ? -1 : 1;
}

/** Rows from..to, `to` excluded. */
function sliceRows({ events, columns, ...whole }: SortedRows, from: number, to: number): SortedRows {
  return {
    ...whole,
    events: events.slice(from, to),
    columns: columns.map((values) => values.slice(from, to)),
  };
}

/** Parts of about the same size, none of them empty. */
export function divide(rows: SortedRows, parts: number): SortedRows[] {
  const count = rows.events.length;
  const starts = Array.from({ length: parts + 1 }, (_, i) => Math.floor((i * count) / parts));
  return starts.slice(1).flatMap((end, i) => (end > starts[i]! ? [sliceRows(rows, starts[i]!, end)] : []));
}
