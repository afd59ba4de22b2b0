import type { ClientBase } from 'pg';
import { DATE_COLUMN, isMasked, MAX_TOKEN_LENGTH, type TableDeclaration } from '../../events/declaration.ts';
import { aliasesTable } from '../rekey/tables.ts';
import type { Run } from '../schema/change.ts';
import { bringUpOwnView, columnTypes, isOwn, type OwnView } from './own-view.ts';

/** Makes the view of repeated values, or brings it up to this version. @returns whether it is ours */
export async function bringUpView(
  client: ClientBase,
  declaration: TableDeclaration,
  run: Run,
): Promise<boolean> {
  return bringUpOwnView(client, declaration, await repeatsView(client, declaration), run);
}

/** Whether the view of repeats is missing, or as a version of ours made it. */
export async function isOurs(client: ClientBase, declaration: TableDeclaration): Promise<boolean> {
  return isOwn(client, declaration, await repeatsView(client, declaration));
}

/**
 * Values of one domain join, so they are counted together whichever column they stand in; and by their current tokens, so
 * that one which stands there under two keys is one. The aliases are joined once for all columns: where there is none, that
 * costs next to nothing.
 */
async function repeatsView(client: ClientBase, declaration: TableDeclaration): Promise<OwnView> {
  const { table, columns, repeats } = declaration;
  const { view } = repeats;
  // A view that is there keeps its types, or nobody could replace it.
  const type =
    (await columnTypes(client, view)).get('masked_value') ?? `character varying(${MAX_TOKEN_LENGTH})`;
  const occurrences = columns
    .filter(isMasked)
    .map(
      ({ column, mask }) =>
        `SELECT '${mask.domain}' AS kind, ${column}::text AS token, ${repeats.subject} AS subject, ${DATE_COLUMN} FROM ${table}`,
    );
  const query = `
    SELECT kind, masked_value::${type} AS masked_value, count(*) AS ${repeats.count}, count(DISTINCT subject) AS ${repeats.subjects},
           min(${DATE_COLUMN}) AS first_date, max(${DATE_COLUMN}) AS last_date
    FROM (SELECT kind, coalesce(alias.current, occurrence.token) AS masked_value, subject, ${DATE_COLUMN}
          FROM (${occurrences.join(' UNION ALL ')}) AS occurrence
          LEFT JOIN ${aliasesTable(declaration)} AS alias ON alias.token = occurrence.token COLLATE "default") AS resolved
    WHERE masked_value IS NOT NULL
    GROUP BY kind, masked_value
    HAVING count(*) > 1`;
  return { view, query, unmarked: unmarkedQuery(declaration) };
}

/**
 * As the first versions made the view, which put no mark on it: before there were aliases, and networks of addresses. Never
 * to be changed.
 */
function unmarkedQuery({ table, columns, repeats }: TableDeclaration): string {
  const occurrences = columns
    .filter(isMasked)
    .filter(({ mask }) => mask.policy !== 'network')
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
