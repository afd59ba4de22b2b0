import type { ClientBase } from 'pg';
import { VizardError } from '../../errors.ts';
import { DATE_COLUMN, type TableDeclaration } from '../../events/declaration.ts';
import type { Run } from '../schema/change.ts';
import { idempotencyIndex } from '../schema/table.ts';
import { currentView, isCurrentViewOurs } from '../views/current.ts';
import { isOurs } from '../views/repeats.ts';

/**
 * For a plain table that is to be a partition.
 *
 * @throws VizardError where a row has no date, which no retention would ever reach
 */
export async function requireDates({ table }: TableDeclaration, run: Run): Promise<void> {
  const { rows } = await run(`SELECT count(*) AS undated FROM ${table} WHERE ${DATE_COLUMN} IS NULL`);
  const { undated } = rows[0] as { undated: string };
  if (undated !== '0') {
    throw new VizardError(
      `table ${table}: expected a ${DATE_COLUMN} in every row, got ${undated} without, which no retention would ever reach; give them a date or delete them`,
    );
  }
}

/**
 * What stands on the plain table would stay behind on the partition, and new rows would do without.
 *
 * @throws VizardError where there is something of that kind
 */
export async function requireNothingToLose(client: ClientBase, declaration: TableDeclaration): Promise<void> {
  const { table } = declaration;
  const { rows } = await client.query<{ thing: string }>(
    `SELECT 'trigger ' || quote_ident(tgname) AS thing FROM pg_trigger WHERE tgrelid = $1::regclass AND NOT tgisinternal
     UNION ALL
     SELECT 'rule ' || quote_ident(rulename) FROM pg_rewrite WHERE ev_class = $1::regclass
     UNION ALL
     SELECT 'its place in publication ' || quote_ident(pubname) FROM pg_publication_rel JOIN pg_publication p ON p.oid = prpubid
     WHERE prrelid = $1::regclass
     UNION ALL
     SELECT 'policy ' || quote_ident(polname) FROM pg_policy WHERE polrelid = $1::regclass
     UNION ALL
     SELECT 'row level security' FROM pg_class WHERE oid = $1::regclass AND (relrowsecurity OR relforcerowsecurity)
     UNION ALL
     SELECT 'constraint ' || quote_ident(conname) FROM pg_constraint
     WHERE conrelid = $1::regclass AND contype IN ('p', 'u', 'x', 'f') OR confrelid = $1::regclass
     UNION ALL
     SELECT 'unique index ' || indexrelid::regclass FROM pg_index
     WHERE indrelid = $1::regclass AND indisunique AND indexrelid <> $2::regclass
     UNION ALL
     SELECT 'identity of column ' || quote_ident(attname) FROM pg_attribute
     WHERE attrelid = $1::regclass AND attidentity <> '' AND NOT attisdropped
     UNION ALL
     SELECT 'sequence ' || objid::regclass FROM pg_depend
     WHERE classid = 'pg_class'::regclass AND refobjid = $1::regclass AND deptype = 'a'
       AND EXISTS (SELECT FROM pg_class WHERE oid = objid AND relkind = 'S')
     UNION ALL
     SELECT 'view ' || ev_class::regclass FROM pg_depend JOIN pg_rewrite r ON r.oid = objid
     WHERE classid = 'pg_rewrite'::regclass AND refobjid = $1::regclass AND ev_class <> ALL (SELECT coalesce(to_regclass(own)::oid, 0) FROM unnest($3::text[]) AS own)
     UNION ALL
     SELECT 'inheritance' FROM pg_inherits WHERE $1::regclass IN (inhrelid, inhparent)`,
    [table, idempotencyIndex(declaration), await ownViews(client, declaration)],
  );
  const [lost] = rows;
  if (lost !== undefined) {
    throw new VizardError(
      `table ${table}: expected nothing on it that is lost when it becomes partitioned, got ${lost.thing}; take it off, and put it on again afterwards`,
    );
  }
}

/** Those are made again; one that somebody changed would lose that. */
async function ownViews(client: ClientBase, declaration: TableDeclaration): Promise<string[]> {
  const views: string[] = [];
  if (await isOurs(client, declaration)) views.push(declaration.repeats.view);
  if (await isCurrentViewOurs(client, declaration)) views.push(currentView(declaration));
  return views;
}
