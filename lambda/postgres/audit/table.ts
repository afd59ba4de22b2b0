import type { ClientBase } from 'pg';
import { VizardError } from '../../errors.ts';
import type { Run } from '../schema/change.ts';
import { bringUpExactTable } from '../schema/exact-table.ts';
import { takeDefaultGrants } from '../schema/table-rights.ts';

/** The trail of who did what with keys or with what they protect; one a schema, whatever tables it has. */
export const AUDIT_TABLE = 'pii_audit';

/**
 * Makes the audit trail where there is none. Whoever has rights on every new table by default has none on this one.
 *
 * @throws VizardError where something else is in its place, or it has triggers or rules
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
  await requireKeeping(client);
}

/** @throws VizardError where something may take back or change what is written to the trail */
export async function requireKeeping(client: ClientBase): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT 'trigger ' || quote_ident(tgname) AS name FROM pg_trigger WHERE tgrelid = to_regclass($1) AND NOT tgisinternal
     UNION ALL SELECT 'rule ' || quote_ident(rulename) FROM pg_rewrite WHERE ev_class = to_regclass($1)
     UNION ALL SELECT 'relation that is no table' FROM pg_class WHERE oid = to_regclass($1) AND relkind <> 'r' LIMIT 1`,
    [AUDIT_TABLE],
  );
  const [found] = rows;
  if (found === undefined) return;
  throw new VizardError(
    `the audit trail ${AUDIT_TABLE}: expected a table that keeps what is written to it, got a ${found.name}; have its owner remove that`,
  );
}
