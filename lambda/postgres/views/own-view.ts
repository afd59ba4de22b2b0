import type { ClientBase } from 'pg';
import type { TableDeclaration } from '../../events/declaration.ts';
import { historyPartition } from '../partitions/ddl.ts';
import { exists } from '../schema/catalog.ts';
import type { Run } from '../schema/change.ts';

/** A view that the migration makes, and makes again in a later version. */
export interface OwnView {
  readonly view: string;
  readonly query: string;
}

/**
 * Makes the view, or makes it again where it is one that a version of ours made, which leaves what was granted on it and its
 * options. One that somebody changed is left as it is.
 *
 * @returns whether it is ours
 */
export async function bringUpOwnView(
  client: ClientBase,
  declaration: TableDeclaration,
  own: OwnView,
  run: Run,
): Promise<boolean> {
  const { view, query } = own;
  const found = await inspect(client, declaration, own);
  if (found === undefined) await run(`CREATE VIEW ${view} AS ${query}`);
  else if (!found.current) {
    if (!found.marked && !found.readsHistory) return false;
    await run(`CREATE OR REPLACE VIEW ${view} ${found.options} AS ${query}`);
  }
  await mark(client, view, run);
  return true;
}

/** Whether the view is missing, or as a version of ours made it. */
export async function isOwn(
  client: ClientBase,
  declaration: TableDeclaration,
  own: OwnView,
): Promise<boolean> {
  const found = await inspect(client, declaration, own);
  return found === undefined || found.current || found.marked;
}

interface ExistingView {
  /** As this version makes it. */
  readonly current: boolean;
  /** Not changed since a version of ours made it. */
  readonly marked: boolean;
  /** Of a plain table that has become a partition since: no new row would be in it. */
  readonly readsHistory: boolean;
  /** `WITH (…)`; replaced without them it would lose them. */
  readonly options: string;
}

/** Begins the comment on a view of ours; its definition's hash follows. */
const MARK = 'Made by Vizard, and not changed where this is its definition: ';
const EXPECTED_MARK = `'${MARK}' || encode(sha256(convert_to(pg_get_viewdef(c.oid), 'UTF8')), 'hex')`;

/**
 * Only the server knows how it writes a query down, so it is made into a view of its own for a moment.
 *
 * @returns undefined where there is none
 */
async function inspect(
  client: ClientBase,
  declaration: TableDeclaration,
  { view, query }: OwnView,
): Promise<ExistingView | undefined> {
  if (!(await exists(client, view, 'view', ['v']))) return undefined;
  const wanted = `${view}_wanted`;
  await client.query(`SAVEPOINT wanted; CREATE VIEW ${wanted} AS ${query}`);
  const { rows } = await client.query<ExistingView>(
    `SELECT pg_get_viewdef(c.oid) = pg_get_viewdef($2::regclass) AS current,
            coalesce(obj_description(c.oid, 'pg_class') = ${EXPECTED_MARK}, false) AS marked,
            EXISTS (SELECT FROM pg_depend JOIN pg_rewrite r ON r.oid = objid
                    WHERE classid = 'pg_rewrite'::regclass AND ev_class = c.oid AND refobjid = to_regclass($3)::oid) AS "readsHistory",
            coalesce('WITH (' || array_to_string(reloptions, ', ') || ')', '') AS options
     FROM pg_class c WHERE c.oid = $1::regclass`,
    [view, wanted, historyPartition(declaration)],
  );
  await client.query('ROLLBACK TO SAVEPOINT wanted; RELEASE SAVEPOINT wanted');
  return rows[0];
}

/** By which a later version knows that nobody has changed it. Somebody's own comment stays, and so does another owner's view. */
async function mark(client: ClientBase, view: string, run: Run): Promise<void> {
  const { rows } = await client.query<{ comment: string }>(
    `SELECT quote_literal(${EXPECTED_MARK}) AS comment
     FROM pg_class c, LATERAL (SELECT obj_description(c.oid, 'pg_class')) AS found (comment)
     WHERE c.oid = $1::regclass AND pg_has_role(relowner, 'USAGE')
       AND (comment IS NULL OR starts_with(comment, $2) AND comment <> ${EXPECTED_MARK})`,
    [view, MARK],
  );
  const [missing] = rows;
  if (missing !== undefined) await run(`COMMENT ON VIEW ${view} IS ${missing.comment}`);
}

/** The types of a relation's columns by their names; none where it isn't there. */
export async function columnTypes(
  client: ClientBase,
  relation: string,
): Promise<ReadonlyMap<string, string>> {
  const { rows } = await client.query<{ name: string; type: string }>(
    `SELECT attname AS name, format_type(atttypid, atttypmod) AS type FROM pg_attribute
     WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum`,
    [relation],
  );
  return new Map(rows.map(({ name, type }) => [name, type]));
}
