import type { ClientBase } from 'pg';
import { bringUpExactTable } from './exact-table.ts';
import type { Run } from './schema-change.ts';
import { takeDefaultGrants } from './table-rights.ts';

/** The trail of who did what with keys or with what they protect; one a schema, whatever tables it has. */
export const AUDIT_TABLE = 'pii_audit';

/**
 * Makes the audit trail where there is none. Whoever has rights on every new table by default has none on this one.
 *
 * @throws VizardError where something else is in its place
 */
export async function bringUpAudit(client: ClientBase, run: Run): Promise<void> {
  const created = await bringUpExactTable(client, run, {
    table: AUDIT_TABLE,
    columns: [
      'number bigint',
      'at timestamp with time zone',
      'who text',
      'action text',
      'reason text',
      'columns text[]',
      'count bigint',
      'kids text[]',
      'digest text',
      'previous text',
      'hash text',
    ],
    // Without it, two that append at once could both be number seven.
    primaryKey: 'number',
  });
  if (created) await takeDefaultGrants(run, AUDIT_TABLE);
}
