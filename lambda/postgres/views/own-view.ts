import { type ClientBase, DatabaseError } from 'pg';
import type { TableDeclaration } from '../../events/declaration.ts';
import { historyPartition } from '../partitions/ddl.ts';
import { exists } from '../schema/catalog.ts';
import type { Run } from '../schema/change.ts';

/** A view that the migration makes, and makes again in a later version. */
export interface OwnView {
  readonly view: string;
  readonly query: string;
  /** As the versions made it that put no mark on it. @default - all versions have */
  readonly unmarked?: string;
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
    if (!found.earlier && !found.readsHistory) return false;
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
  return found === undefined || found.current || found.earlier;
}

interface ExistingView {
  /** As this version makes it. */
  readonly current: boolean;
  /** Not changed since another version of ours made it. */
  readonly earlier: boolean;
  /** Of a plain table that has become a partition since: no new row would be in it. */
  readonly readsHistory: boolean;
  /** `WITH (…)`; replaced without them it would lose them. */
  readonly options: string;
}

/** Begins the comment on a view of ours; its definition's hash follows. */
const MARK = 'Made by Vizard, and not changed where this is its definition: ';
const EXPECTED_MARK = `'${MARK}' || encode(sha256(convert_to(pg_get_viewdef(c.oid), 'UTF8')), 'hex')`;

/** @returns undefined where there is none */
async function inspect(
  client: ClientBase,
  declaration: TableDeclaration,
  { view, query, unmarked }: OwnView,
): Promise<ExistingView | undefined> {
  if (!(await exists(client, view, 'view', ['v']))) return undefined;
  const { rows } = await client.query<FoundView>(
    `SELECT pg_get_viewdef(c.oid) AS definition,
            coalesce(starts_with(obj_description(c.oid, 'pg_class'), $3), false) AS "hasMark",
            coalesce(obj_description(c.oid, 'pg_class') = ${EXPECTED_MARK}, false) AS "hasItsMark",
            EXISTS (SELECT FROM pg_depend JOIN pg_rewrite r ON r.oid = objid
                    WHERE classid = 'pg_rewrite'::regclass AND ev_class = c.oid AND refobjid = to_regclass($2)::oid) AS "readsHistory",
            coalesce('WITH (' || array_to_string(reloptions, ', ') || ')', '') AS options
     FROM pg_class c WHERE c.oid = $1::regclass`,
    [view, historyPartition(declaration), MARK],
  );
  const { definition, hasMark, hasItsMark, readsHistory, options } = rows[0]!;
  const current = definition === (await definitionOf(client, view, query));
  // The mark of another definition says that somebody went back to this one.
  const mayBeUnmarked = unmarked !== undefined && !current && !hasMark;
  const isUnmarked =
    mayBeUnmarked && definition === (await definitionOf(client, view, unmarked).catch(ifRefused));
  return { current, earlier: hasItsMark || isUnmarked, readsHistory, options };
}

interface FoundView extends Pick<ExistingView, 'readsHistory' | 'options'> {
  readonly definition: string;
  readonly hasMark: boolean;
  readonly hasItsMark: boolean;
}

/** Only the server knows how it writes a query down, so it is made into a view of its own for a moment. */
async function definitionOf(client: ClientBase, view: string, query: string): Promise<string> {
  const wanted = `${view}_wanted`;
  await client.query('SAVEPOINT wanted');
  try {
    await client.query(`CREATE VIEW ${wanted} AS ${query}`);
    const { rows } = await client.query<{ definition: string }>(
      'SELECT pg_get_viewdef($1::regclass) AS definition',
      [wanted],
    );
    return rows[0]!.definition;
  } finally {
    await client.query('ROLLBACK TO SAVEPOINT wanted; RELEASE SAVEPOINT wanted');
  }
}

/** syntax_error_or_access_rule_violation: no view of that query can be made on this table, so no version made one. */
function ifRefused(error: unknown): undefined {
  if (!(error instanceof DatabaseError && error.code?.startsWith('42'))) throw error;
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
