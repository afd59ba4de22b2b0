import type { ClientBase } from 'pg';
import { VizardError } from '../errors.ts';
import { DATE_COLUMN, type TableDeclaration } from '../events/declaration.ts';
import { exists } from './catalog.ts';
import { type Day, isoDate } from './partition-days.ts';
import {
  attachPartition,
  defaultPartition,
  historyPartition,
  moveRows,
  partitionIndex,
} from './partition-ddl.ts';
import { isPartitioned } from './partitions.ts';
import type { Run } from './schema-change.ts';
import { idempotencyIndex, PARTITIONED } from './table.ts';

/**
 * Makes the table a partitioned one with a default partition. A plain one that is there becomes a partition itself: for all
 * days up to today, and what is later goes to the default one. Whoever writes or reads waits.
 *
 * @returns what was not there before: `partition …`
 * @throws VizardError where something of the plain table would be lost, or rows have no date
 */
export async function bringUpPartitioning(
  client: ClientBase,
  declaration: TableDeclaration,
  today: Day,
  run: Run,
): Promise<string[]> {
  const isPlain = !(await isPartitioned(client, declaration));
  if (isPlain) await putInPlace(client, declaration, run);
  const otherwise = defaultPartition(declaration);
  if (!(await exists(client, otherwise, 'table', ['r']))) {
    await attachPartition(declaration, otherwise, 'DEFAULT', run);
  }
  if (!isPlain) return [];
  await attachHistory(client, declaration, isoDate(today + 1), run);
  return [`partition ${historyPartition(declaration)}`];
}

/** Gives the plain table another name, and its own to a partitioned one like it. */
async function putInPlace(client: ClientBase, declaration: TableDeclaration, run: Run): Promise<void> {
  const { table } = declaration;
  await run(`LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
  await checkNothingIsLost(client, declaration);
  await checkDates(declaration, run);
  const history = historyPartition(declaration);
  const index = idempotencyIndex(declaration);
  await run(`ALTER TABLE ${table} RENAME TO ${history}`);
  await run(`ALTER INDEX ${index} RENAME TO ${partitionIndex(history)}`);
  await run(`CREATE TABLE ${table} (LIKE ${history} INCLUDING ALL) ${PARTITIONED}`);
  // The copy has a name of Postgres's own, and is the only one that is unique.
  const { rows } = await client.query<{ name: string }>(
    'SELECT indexrelid::regclass::text AS name FROM pg_index WHERE indrelid = $1::regclass AND indisunique',
    [table],
  );
  await run(`ALTER INDEX ${rows[0]!.name} RENAME TO ${index}`);
  await moveGrants(client, history, table, run);
}

/** One event of the year 2099 must not keep all the rest until then. @param end the day after the last one */
async function attachHistory(
  client: ClientBase,
  declaration: TableDeclaration,
  end: string,
  run: Run,
): Promise<void> {
  const history = historyPartition(declaration);
  const where = `${DATE_COLUMN} >= '${end}'`;
  await moveRows(client, { from: history, to: defaultPartition(declaration), where }, run);
  await run(
    `ALTER TABLE ${declaration.table} ATTACH PARTITION ${history} FOR VALUES FROM (MINVALUE) TO ('${end}')`,
  );
}

async function checkDates({ table }: TableDeclaration, run: Run): Promise<void> {
  const { rows } = await run(`SELECT count(*) AS undated FROM ${table} WHERE ${DATE_COLUMN} IS NULL`);
  const { undated } = rows[0] as { undated: string };
  if (undated !== '0') {
    throw new VizardError(
      `table ${table}: expected a ${DATE_COLUMN} in every row, got ${undated} without, which no retention would ever reach; give them a date or delete them`,
    );
  }
}

/** What stands on the plain table would stay behind on the partition, and new rows would do without. */
async function checkNothingIsLost(client: ClientBase, declaration: TableDeclaration): Promise<void> {
  const { table, repeats } = declaration;
  const { rows } = await client.query<{ thing: string }>(
    `SELECT 'trigger ' || quote_ident(tgname) AS thing FROM pg_trigger WHERE tgrelid = $1::regclass AND NOT tgisinternal
     UNION ALL
     SELECT 'rule ' || quote_ident(rulename) FROM pg_rewrite WHERE ev_class = $1::regclass
     UNION ALL
     SELECT 'policy ' || quote_ident(polname) FROM pg_policy WHERE polrelid = $1::regclass
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
     WHERE classid = 'pg_rewrite'::regclass AND refobjid = $1::regclass AND ev_class IS DISTINCT FROM to_regclass($3)::oid
     UNION ALL
     SELECT 'inheritance' FROM pg_inherits WHERE $1::regclass IN (inhrelid, inhparent)`,
    [table, idempotencyIndex(declaration), repeats.view],
  );
  const [lost] = rows;
  if (lost !== undefined) {
    throw new VizardError(
      `table ${table}: expected nothing on it that is lost when it becomes partitioned, got ${lost.thing}; drop it, and make it again afterwards`,
    );
  }
}

/** Whoever might use the table may use it as before; the partition is nobody's business. */
async function moveGrants(client: ClientBase, from: string, to: string, run: Run): Promise<void> {
  const { rows } = await client.query<{ grant: string; revoke: string }>(
    `WITH granted AS (
       SELECT a.*, '' AS columns FROM pg_class, aclexplode(relacl) a WHERE oid = $1::regclass AND grantee <> relowner
       UNION ALL
       SELECT a.*, format(' (%I)', attname) FROM pg_attribute, aclexplode(attacl) a WHERE attrelid = $1::regclass)
     SELECT format('GRANT %s%s ON TABLE %s TO %s%s', privilege_type, columns, $2::text, role,
                   CASE WHEN is_grantable THEN ' WITH GRANT OPTION' END) AS grant,
            format('REVOKE %s%s ON TABLE %s FROM %s CASCADE', privilege_type, columns, $1::text, role) AS revoke
     FROM granted, LATERAL (SELECT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END) AS r (role)`,
    [from, to],
  );
  for (const { grant, revoke } of rows) await run(`${grant}; ${revoke}`);
}
