import type { ClientBase } from 'pg';
import type { Action } from '../audit/audit.ts';
import { AUDIT_TABLE } from '../audit/table.ts';

const SHREDDED: Action = 'keys shred';

/** The kids of which the audit trail says that they were shredded: tokens of them may stand in exports. */
export async function readShreddedKids(client: ClientBase): Promise<ReadonlySet<string>> {
  const { rows } = await client.query<{ kid: string }>(
    `SELECT DISTINCT unnest(kids) AS kid FROM ${AUDIT_TABLE} WHERE action = $1`,
    [SHREDDED],
  );
  return new Set(rows.map(({ kid }) => kid));
}
