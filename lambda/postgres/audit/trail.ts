import type { ClientBase } from 'pg';
import { TIME_FORMAT, type TrailRow, whole } from './chain.ts';
import { AUDIT_TABLE } from './table.ts';

/** Rows that are in memory at once. */
const PAGE = 2_000;

/** bigint comes as text. */
type Stored = Omit<TrailRow, 'number' | 'count'> & { readonly number: string; readonly count: string };

const ROWS = `
  SELECT number, to_char(at AT TIME ZONE 'UTC', '${TIME_FORMAT}') || CASE WHEN at < '0001-01-01T00:00:00Z' THEN ' BC' ELSE '' END AS at, who, action, reason, columns, count, kids,
         digest, previous, hash
  FROM ${AUDIT_TABLE}`;

/** The newest rows, newest first. */
export async function latestAudit(client: ClientBase, limit: number): Promise<TrailRow[]> {
  const { rows } = await client.query<Stored>(`${ROWS} ORDER BY number DESC LIMIT $1`, [limit]);
  return rows.map(parse);
}

/** All rows in their order, as they are at one moment: a cursor has one snapshot. In a transaction of its own, which may take long and holds nobody up. */
export async function* allAudit(client: ClientBase): AsyncGenerator<TrailRow[]> {
  await client.query('BEGIN READ ONLY');
  try {
    await client.query(`DECLARE trail NO SCROLL CURSOR FOR ${ROWS} ORDER BY number, hash`);
    for (;;) {
      const { rows } = await client.query<Stored>(`FETCH ${PAGE} FROM trail`);
      if (rows.length === 0) return;
      yield rows.map(parse);
    }
  } finally {
    await client.query('ROLLBACK').catch(() => {});
  }
}

/** How many rows there are. */
export async function auditLength(client: ClientBase): Promise<number> {
  const { rows } = await client.query<{ length: string }>(`SELECT count(*) AS length FROM ${AUDIT_TABLE}`);
  return Number(rows[0]!.length);
}

function parse({ number, count, ...row }: Stored): TrailRow {
  return { ...row, number: whole(BigInt(number)), count: whole(BigInt(count)) };
}
