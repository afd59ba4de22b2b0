import type { ClientBase } from 'pg';
import { DATE_COLUMN, isMasked, type TableDeclaration } from '../events/declaration.ts';
import { exists } from './catalog.ts';
import { historyPartition } from './partition-ddl.ts';
import type { Run } from './schema-change.ts';

/**
 * Makes the view of repeated values, or makes it again where it is one that a version of ours made, which leaves what was
 * granted on it and its options. One that somebody changed is left as it is.
 *
 * @returns whether it is ours
 */
export async function bringUpView(
  client: ClientBase,
  declaration: TableDeclaration,
  run: Run,
): Promise<boolean> {
  const { view } = declaration.repeats;
  const query = repeatsQuery(declaration);
  const found = await inspect(client, declaration);
  if (found === undefined) await run(`CREATE VIEW ${view} AS ${query}`);
  else if (!found.current) {
    if (!found.marked && !found.readsHistory) return false;
    await run(`CREATE OR REPLACE VIEW ${view} ${found.options} AS ${query}`);
  }
  await mark(client, view, run);
  return true;
}

/** Whether the view is missing, or as a version of ours made it. */
export async function isOurs(client: ClientBase, declaration: TableDeclaration): Promise<boolean> {
  const found = await inspect(client, declaration);
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
async function inspect(client: ClientBase, declaration: TableDeclaration): Promise<ExistingView | undefined> {
  const { view } = declaration.repeats;
  if (!(await exists(client, view, 'view', ['v']))) return undefined;
  const wanted = `${view}_wanted`;
  await client.query(`SAVEPOINT wanted; CREATE VIEW ${wanted} AS ${repeatsQuery(declaration)}`);
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

/** Values of one domain join, so they are counted together whichever column they stand in. */
function repeatsQuery({ table, columns, repeats }: TableDeclaration): string {
  const occurrences = columns
    .filter(isMasked)
    .map(
      ({ column, mask }) =>
        `SELECT '${mask.domain}' AS kind, ${column} AS masked_value, ${repeats.subject} AS subject, ${DATE_COLUMN} FROM ${table}`,
    );
  return `
    SELECT kind, masked_value, count(*) AS ${repeats.count}, count(DISTINCT subject) AS ${repeats.subjects},
           min(${DATE_COLUMN}) AS first_date, max(${DATE_COLUMN}) AS last_date
    FROM (${occurrences.join(' UNION ALL ')}) AS occurrence
    WHERE masked_value IS NOT NULL
    GROUP BY kind, masked_value
    HAVING count(*) > 1`;
}
