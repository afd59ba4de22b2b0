import type { ClientBase } from 'pg';
import { MAX_SECRET_AGE } from '../../secret-age.ts';
import { AUDIT_TABLE } from '../audit/table.ts';

/** Milliseconds. An invocation ends with the keyset that it began with. */
const LONGEST_INVOCATION = 60_000;

/** Milliseconds after a promotion in which functions may write with the key that was primary before. */
export const SETTLING = MAX_SECRET_AGE + LONGEST_INVOCATION;

/**
 * Milliseconds until no function writes with another key than the one that was promoted; 0 where that was long ago, or
 * where the audit trail knows of no promotion.
 */
export async function timeToSettle(client: ClientBase, kid: string, settling: number): Promise<number> {
  const { rows } = await client.query<{ age: number | null }>(
    `SELECT extract(epoch FROM clock_timestamp() - max(at))::float * 1000 AS age
     FROM ${AUDIT_TABLE} WHERE action = 'keys promote' AND kids = ARRAY[$1::text]`,
    [kid],
  );
  const { age } = rows[0]!;
  return age === null ? 0 : Math.max(0, settling - age);
}
