import type { ClientBase } from 'pg';
import { DATE_COLUMN, isMasked, type TableDeclaration } from '../events/declaration.ts';
import { exists } from './catalog.ts';
import type { Run } from './schema-change.ts';

/**
 * Makes the view of repeated values, or makes it again where it is another one, which leaves what was granted on it.
 */
export async function bringUpView(
  client: ClientBase,
  declaration: TableDeclaration,
  run: Run,
): Promise<void> {
  const { view } = declaration.repeats;
  const query = repeatsQuery(declaration);
  if (!(await exists(client, view, 'view', ['v']))) await run(`CREATE VIEW ${view} AS ${query}`);
  else if (await differs(client, view, query)) await run(`CREATE OR REPLACE VIEW ${view} AS ${query}`);
}

/** Only the server knows how it writes a query down, so it is made into a view of its own for a moment. */
async function differs(client: ClientBase, view: string, query: string): Promise<boolean> {
  const wanted = `${view}_wanted`;
  await client.query(`SAVEPOINT wanted; CREATE VIEW ${wanted} AS ${query}`);
  const { rows } = await client.query<{ differs: boolean }>(
    'SELECT pg_get_viewdef($1::regclass) <> pg_get_viewdef($2::regclass) AS differs',
    [view, wanted],
  );
  await client.query('ROLLBACK TO SAVEPOINT wanted; RELEASE SAVEPOINT wanted');
  return rows[0]!.differs;
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
