import type { ClientBase } from 'pg';
import { DATE_COLUMN, ID_COLUMN, type TableDeclaration } from '../../events/declaration.ts';
import type { EventIdentity } from '../../events/parse.ts';

/**
 * Which of some events are in the table. LIMIT keeps the planner from doing anything but look each up in the index: by its
 * statistics, which know nothing of a day that has just begun, it may find it cheaper to read all of that day. The days by
 * themselves are for a partitioned table, of which it would lock every partition.
 */
export function findStatement({ table }: TableDeclaration): string {
  return `
    SELECT event.place
    FROM unnest($1::date[], $2::uuid[]) WITH ORDINALITY AS event (date, id, place)
    CROSS JOIN LATERAL (
      SELECT FROM ${table} WHERE ${DATE_COLUMN} = event.date AND ${ID_COLUMN} = event.id AND ${DATE_COLUMN} = ANY ($3::date[]) LIMIT 1
    ) AS found`;
}

/** @returns those of them that are in the table, committed or in the present transaction */
export async function findEvents(
  client: ClientBase,
  statement: string,
  events: readonly EventIdentity[],
): Promise<EventIdentity[]> {
  const dates = events.map(({ date }) => date);
  const ids = events.map(({ eventId }) => eventId);
  const { rows } = await client.query<[place: string]>({
    text: statement,
    // Nothing in them needs quotes, which makes this faster than pg's own.
    values: [dates, ids, [...new Set(dates)]].map((values) => `{${values.join(',')}}`),
    rowMode: 'array',
  });
  return rows.map(([place]) => events[Number(place) - 1]!);
}
