import { VizardError } from '../../../lambda/errors.ts';
import { isMasked, type TableDeclaration } from '../../../lambda/events/declaration.ts';
import { type AuditRow, appendAudit, digestOf } from '../../../lambda/postgres/audit/audit.ts';
import type { DatabaseClient } from '../../../lambda/postgres/connection.ts';
import { holdPartitions, seeEveryRow } from '../../../lambda/postgres/partitions/hold.ts';
import { excludeRekeys } from '../../../lambda/postgres/rekey/lock.ts';
import { errorCode, isDatabaseFault } from '../../../lambda/postgres/sqlstate.ts';
import { inTransaction } from '../../../lambda/postgres/transaction.ts';
import type { Asked, Person } from '../../keys/gate.ts';
import { conditionOf, type Sought } from '../../keys/known-person.ts';
import { countKept, forgetKept, type KeptValues } from './kept-values.ts';

/** Whose rows are to go, who wants it, and how. */
export interface Erasure {
  readonly declaration: TableDeclaration;
  readonly sought: Sought;
  /** Their masked columns become NULL, and the rows stay. */
  readonly blank: boolean;
  readonly person: Person;
  readonly asked: Pick<Asked, 'columns' | 'kids' | 'tokens'>;
  /** Is called when keys can't change any more. @throws VizardError where they have, since the tokens were made */
  checkKeyset(): Promise<void>;
}

/** What goes, or would. */
export interface Removal extends KeptValues {
  readonly rows: number;
}

/** How much there is, without a change. */
export function countRemoval(client: DatabaseClient, erasure: Erasure): Promise<Removal> {
  const { declaration, sought, asked } = erasure;
  return seeEveryRow(client, declaration, async () => {
    const { rows, tokens } = await takeRows(client, erasure, countedRows);
    const kept = await countKept(client, declaration, [...asked.tokens, ...tokens], sought);
    return { rows, ...kept };
  });
}

/**
 * Deletes or blanks the rows, and what is kept beside them of their tokens, in one transaction that says so in the audit
 * trail.
 *
 * @param expected how many rows somebody has agreed to. @default - as many as there are
 * @throws VizardError where there are more or fewer by now, or a rekey is under way; nothing is changed then
 */
export async function eraseRows(
  client: DatabaseClient,
  erasure: Erasure,
  expected?: number,
): Promise<Removal & { readonly row: AuditRow }> {
  const { declaration, blank, person, asked } = erasure;
  return inTransaction(client, async () => {
    await client.query('BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE');
    await excludeRekeys(client);
    await erasure.checkKeyset();
    await holdPartitions(client, declaration);
    if (blank) await lockRows(client, erasure);
    const { rows, tokens } = await takeRows(client, erasure, blank ? blankedRows : deletedRows);
    if (expected !== undefined && rows !== expected)
      throw new VizardError(
        `expected the ${expected} rows that were counted, got ${rows}: events came or went meanwhile; nothing was changed, run it again`,
      );
    const kept = await forgetKept(client, declaration, [...asked.tokens, ...tokens]);
    const { tokens: sought, ...act } = asked;
    const row = await appendAudit(client, {
      ...person,
      ...act,
      action: 'erase',
      count: rows,
      digest: digestOf(sought),
    });
    await commit(client);
    return { rows, ...kept, row };
  });
}

/** @throws VizardError where nobody can say what became of it: the answer may be lost on its way */
async function commit(client: DatabaseClient): Promise<void> {
  try {
    await client.query('COMMIT');
  } catch (error) {
    if (!isDatabaseFault(error)) throw error;
    throw new VizardError(
      `the erasure was to be committed, and the database gave no good answer (${errorCode(error)}): it isn't known whether it was done; look with \`vizard audit list\``,
    );
  }
}

/**
 * A statement of its own: one that locks rows and changes them as well finds the new place of a row that somebody changes
 * meanwhile, and does not see that row there.
 */
async function lockRows(client: DatabaseClient, { declaration, sought }: Erasure): Promise<void> {
  const { condition, values } = conditionOf(sought);
  await client.query(
    `SELECT count(*) FROM (SELECT FROM ${declaration.table} WHERE ${condition} FOR UPDATE) AS locked`,
    values,
  );
}

/** The part of a statement, named `removed`, that has the masked columns of the rows as they were. */
type Taking = (table: string, masked: readonly string[], condition: string) => string;

/** @returns how many rows there were, and the tokens that stood in them */
async function takeRows(
  client: DatabaseClient,
  { declaration: { table, columns }, sought }: Erasure,
  taking: Taking,
): Promise<{ readonly rows: number; readonly tokens: readonly string[] }> {
  const masked = columns.filter(isMasked).map(({ column }) => column);
  const { condition, values } = conditionOf(sought);
  const result = await client.query<{ rows: string; tokens: string[] }>(
    `WITH ${taking(table, masked, condition)}
     SELECT (SELECT count(*) FROM removed) AS rows,
            ARRAY(SELECT DISTINCT token FROM removed, unnest(ARRAY[${masked.join(', ')}]) AS token
                  WHERE token IS NOT NULL) AS tokens`,
    values,
  );
  const { rows, tokens } = result.rows[0]!;
  return { rows: Number(rows), tokens };
}

const countedRows: Taking = (table, masked, condition) =>
  `removed AS MATERIALIZED (SELECT ${masked.join(', ')} FROM ${table} WHERE ${condition})`;

const deletedRows: Taking = (table, masked, condition) =>
  `removed AS (DELETE FROM ${table} WHERE ${condition} RETURNING ${masked.join(', ')})`;

/** UPDATE returns what is there afterwards, so the rows, which are locked, are read first. */
const blankedRows: Taking = (table, masked, condition) => {
  const blanks = masked.map((column) => `${column} = NULL`).join(', ');
  const before = masked.map((column) => `found.${column}`).join(', ');
  return `found AS MATERIALIZED (
       SELECT tableoid, ctid, ${masked.join(', ')} FROM ${table} WHERE ${condition}),
     removed AS (
       UPDATE ${table} AS t SET ${blanks} FROM found
       WHERE (t.tableoid, t.ctid) = (found.tableoid, found.ctid) RETURNING ${before})`;
};
