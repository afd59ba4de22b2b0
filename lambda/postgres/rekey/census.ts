import type { ClientBase } from 'pg';
import { DATE_COLUMN, isMasked, type TableDeclaration } from '../../events/declaration.ts';
import type { Keyset } from '../../masking/keyset.ts';
import { retokener } from '../../masking/retoken.ts';
import { AUDIT_TABLE } from '../audit/table.ts';
import { holdPartitions } from '../partitions/hold.ts';
import { countWrongAliases } from './alias-check.ts';
import { analysis } from './analysis.ts';
import { isOf, type RekeyUnderWay } from './batch.ts';
import { aliasesTable, groupsTable } from './tables.ts';

/** Before the first row is rewritten, and after the last. */
export type Moment = 'before' | 'after';

/**
 * Counts the rows of every token, and of every date, in one snapshot, and keeps that beside the table. On the server's
 * disk: there may be more tokens than fit any memory. One of that moment that was there before is replaced. In the caller's
 * transaction.
 */
export async function takeCensus(
  client: ClientBase,
  declaration: TableDeclaration,
  moment: Moment,
): Promise<void> {
  const groups = groupsTable(declaration);
  await holdPartitions(client, declaration);
  // Of tokens as they stand there: what they are aliases of is looked up when two are compared, as more may be known then.
  const counts = [...maskedColumns(declaration), DATE_COLUMN].map(
    (column) =>
      `SELECT '${moment}', '${column}', coalesce(${column}::text, ''), count(*) FROM ${declaration.table} GROUP BY ${column}`,
  );
  await client.query(`DELETE FROM ${groups} WHERE moment = $1`, [moment]);
  await client.query(`INSERT INTO ${groups} (moment, kind, value, rows) ${counts.join(' UNION ALL ')}`);
  await client.query(analysis(groups));
}

/** How two censuses compare in one column, tokens of one value taken together. */
export interface ColumnComparison {
  readonly column: string;
  /** Distinct values. */
  readonly before: number;
  readonly after: number;
  /** Values that have fewer rows than before. */
  readonly shrunk: number;
  /** Rows by which values have more than before, those without a value included. */
  readonly grown: number;
  readonly histogram: { readonly before: Histogram; readonly after: Histogram };
}

/** How many values occur so often: the lower ends of ranges, 1, 2, 3, 5, 9, 17 …, and how many are in each. */
export type Histogram = Readonly<Record<string, number>>;

/** What was compared, and what that shows. */
export interface Proof {
  /**
   * - `proven`: no value has fewer rows than before, and together they have as many more as rows came in
   * - `deleted`: rows were deleted meanwhile, so that fewer than before mean nothing
   * - `failed`: values have fewer or more rows than that explains, or an alias is not that of its value
   */
  readonly verdict: 'proven' | 'deleted' | 'failed';
  /** Those that the table had at the first census. */
  readonly columns: readonly ColumnComparison[];
  readonly rowsBefore: number;
  readonly rowsAfter: number;
  /** Rows that have come in since the first census, by their dates. */
  readonly arrived: number;
  /** Dates that have fewer rows than before. */
  readonly shrunkDays: number;
  /** Aliases that make two values one, and of a sample those that are not the token's. */
  readonly wrongAliases: number;
  /** Tokens of the old key that still stand in the table. */
  readonly left: number;
}

type Compared = Omit<ColumnComparison, 'histogram'> & {
  readonly rows_before: number;
  readonly rows_after: number;
};

/**
 * Compares the two censuses.
 *
 * @param since when the rekey began, for erasures since
 */
export async function compareCensuses(
  client: ClientBase,
  declaration: TableDeclaration,
  keyset: Keyset,
  rekey: RekeyUnderWay,
  since: string,
): Promise<Proof> {
  const { rows } = await client.query<Compared>(
    `WITH ${resolved(declaration)}, compared AS (
       SELECT kind, value, coalesce(sum(rows) FILTER (WHERE moment = 'before'), 0) AS before,
              coalesce(sum(rows) FILTER (WHERE moment = 'after'), 0) AS after
       FROM resolved GROUP BY kind, value)
     SELECT kind AS column, count(*) FILTER (WHERE before > 0 AND value <> '')::float AS before,
            count(*) FILTER (WHERE after > 0 AND value <> '')::float AS after,
            count(*) FILTER (WHERE after < before)::float AS shrunk,
            coalesce(sum(after - before) FILTER (WHERE after > before), 0)::float AS grown,
            sum(before)::float AS rows_before, sum(after)::float AS rows_after
     FROM compared GROUP BY kind ORDER BY kind`,
  );
  const histograms = await readHistograms(client, declaration);
  const dates = rows.find(({ column }) => column === DATE_COLUMN);
  const counted = rows.filter(({ column, rows_before }) => column !== DATE_COLUMN && rows_before > 0);
  const columns = counted.map(({ column: name, before, after, shrunk, grown }): ColumnComparison => {
    const histogram = {
      before: histograms[`${name} before`] ?? {},
      after: histograms[`${name} after`] ?? {},
    };
    return { column: name, before, after, shrunk, grown, histogram };
  });
  const facts = {
    columns,
    rowsBefore: dates?.rows_before ?? 0,
    rowsAfter: dates?.rows_after ?? 0,
    arrived: dates?.grown ?? 0,
    shrunkDays: dates?.shrunk ?? 0,
    wrongAliases: await countWrongAliases(client, declaration, keyset, rekey),
    left: await countLeft(client, declaration, rekey.from),
  };
  if (facts.wrongAliases > 0) return { verdict: 'failed', ...facts };
  const agree = columns.every(({ shrunk, grown }) => shrunk === 0 && grown === facts.arrived);
  if (agree && facts.shrunkDays === 0) return { verdict: 'proven', ...facts };
  const deleted = facts.shrunkDays > 0 || (await wasErased(client, since));
  return { verdict: deleted ? 'deleted' : 'failed', ...facts };
}

/** Both censuses by current tokens. */
function resolved(declaration: TableDeclaration): string {
  return `resolved AS MATERIALIZED (
    SELECT moment, kind, coalesce(current, value) AS value, sum(rows) AS rows
    FROM ${groupsTable(declaration)} LEFT JOIN ${aliasesTable(declaration)} ON token = value
    GROUP BY 1, 2, 3)`;
}

async function readHistograms(
  client: ClientBase,
  declaration: TableDeclaration,
): Promise<Record<string, Histogram>> {
  const { rows } = await client.query<{ name: string; histogram: Histogram }>(
    `WITH ${resolved(declaration)}, sized AS (
       SELECT kind || ' ' || moment AS name, CASE rows WHEN 1 THEN 1 ELSE (2 ^ ceil(log(2, rows) - 1) + 1)::bigint END AS size,
              count(*) AS values
       FROM resolved WHERE value <> '' GROUP BY 1, 2)
     SELECT name, json_object_agg(size, values) AS histogram FROM sized GROUP BY name`,
  );
  return Object.fromEntries(rows.map(({ name, histogram }) => [name, histogram]));
}

async function countLeft(client: ClientBase, declaration: TableDeclaration, from: string): Promise<number> {
  const { rows } = await client.query<{ left: number }>(
    `SELECT coalesce(sum(rows), 0)::float AS left FROM ${groupsTable(declaration)}
     WHERE moment = 'after' AND ${isOf(from, 'value')}`,
  );
  return rows[0]!.left;
}

/** Tokens that are compared in one statement. */
const TOKENS_A_STATEMENT = 10_000;

/** Whether a token of the old key that stood in the table at the second census can be rewritten. */
export async function canRewriteLeft(
  client: ClientBase,
  declaration: TableDeclaration,
  keyset: Keyset,
  rekey: RekeyUnderWay,
): Promise<boolean> {
  for (const column of declaration.columns.filter(isMasked)) {
    const retoken = retokener(keyset, column, rekey);
    for (let last = ''; ; ) {
      const { rows } = await client.query<{ value: string }>(
        `SELECT value FROM ${groupsTable(declaration)}
         WHERE moment = 'after' AND kind = $1 AND ${isOf(rekey.from, 'value')} AND value > $2
         ORDER BY value LIMIT ${TOKENS_A_STATEMENT}`,
        [column.column, last],
      );
      const tokens = rows.map(({ value }) => value);
      if (tokens.length === 0) break;
      if (retoken(tokens).some((token) => token !== undefined)) return true;
      last = tokens.at(-1)!;
    }
  }
  return false;
}

/** Blanked values leave no date with fewer rows. */
async function wasErased(client: ClientBase, since: string): Promise<boolean> {
  const { rows } = await client.query(
    `SELECT FROM ${AUDIT_TABLE} WHERE action = 'erase' AND at >= $1::timestamptz LIMIT 1`,
    [since],
  );
  return rows.length > 0;
}

function maskedColumns({ columns }: TableDeclaration): string[] {
  return columns.filter(isMasked).map(({ column }) => column);
}
