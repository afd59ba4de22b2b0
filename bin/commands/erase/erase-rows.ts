import { VizardError } from '../../../lambda/errors.ts';
import { isMasked, type TableDeclaration } from '../../../lambda/events/declaration.ts';
import { type AuditRow, appendAudit, digestOf } from '../../../lambda/postgres/audit/audit.ts';
import type { DatabaseClient } from '../../../lambda/postgres/connection.ts';
import { excludeRekeys } from '../../../lambda/postgres/rekey/lock.ts';
import { aliasesTable } from '../../../lambda/postgres/rekey/tables.ts';
import { errorCode, isDatabaseFault } from '../../../lambda/postgres/sqlstate.ts';
import { inTransaction } from '../../../lambda/postgres/transaction.ts';
import { findAliases } from '../../../lambda/postgres/vault/read.ts';
import { vaultTable } from '../../../lambda/postgres/vault/tables.ts';
import type { Asked, Person } from '../../keys/gate.ts';
import { conditionOf, type Sought } from '../../keys/known-person.ts';

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

/** How many rows there are. */
export async function countRows(client: DatabaseClient, { declaration, sought }: Erasure): Promise<number> {
  const { condition, values } = conditionOf(sought);
  const { rows } = await client.query<{ rows: string }>(
    `SELECT count(*) AS rows FROM ${declaration.table} WHERE ${condition}`,
    values,
  );
  return Number(rows[0]!.rows);
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
): Promise<{ readonly rows: number; readonly row: AuditRow }> {
  const { declaration, person, asked } = erasure;
  return inTransaction(client, async () => {
    await client.query('BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE');
    await excludeRekeys(client);
    await erasure.checkKeyset();
    const { rows, tokens } = await removeRows(client, erasure);
    if (expected !== undefined && rows !== expected)
      throw new VizardError(
        `expected the ${expected} rows that were counted, got ${rows}: events came or went meanwhile; nothing was changed, run it again`,
      );
    await forgetTokens(client, declaration, [...new Set([...asked.tokens, ...tokens])]);
    const { tokens: sought, ...act } = asked;
    const row = await appendAudit(client, {
      ...person,
      ...act,
      action: 'erase',
      count: rows,
      digest: digestOf(sought),
    });
    await commit(client);
    return { rows, row };
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

/** @returns how many rows there were, and the tokens that stood in them */
async function removeRows(
  client: DatabaseClient,
  { declaration: { table, columns }, sought, blank }: Erasure,
): Promise<{ readonly rows: number; readonly tokens: readonly string[] }> {
  const masked = columns.filter(isMasked).map(({ column }) => column);
  const { condition, values } = conditionOf(sought);
  const removal = blank ? blankRows(table, masked, condition) : deleteRows(table, masked, condition);
  const result = await client.query<{ rows: string; tokens: string[] }>(
    `WITH ${removal}
     SELECT (SELECT count(*) FROM removed) AS rows,
            ARRAY(SELECT DISTINCT token FROM removed, unnest(ARRAY[${masked.join(', ')}]) AS token
                  WHERE token IS NOT NULL) AS tokens`,
    values,
  );
  const { rows, tokens } = result.rows[0]!;
  return { rows: Number(rows), tokens };
}

function deleteRows(table: string, masked: readonly string[], condition: string): string {
  return `removed AS (DELETE FROM ${table} WHERE ${condition} RETURNING ${masked.join(', ')})`;
}

/** UPDATE returns what is there afterwards, so the rows are read and locked first. */
function blankRows(table: string, masked: readonly string[], condition: string): string {
  const blanks = masked.map((column) => `${column} = NULL`).join(', ');
  const before = masked.map((column) => `found.${column}`).join(', ');
  return `found AS MATERIALIZED (
       SELECT tableoid, ctid, ${masked.join(', ')} FROM ${table} WHERE ${condition} FOR UPDATE),
     removed AS (
       UPDATE ${table} AS t SET ${blanks} FROM found
       WHERE (t.tableoid, t.ctid) = (found.tableoid, found.ctid) RETURNING ${before})`;
}

/**
 * What is kept of a value beside the table goes with its last row: its aliases while keys change, and its sealed value. A row
 * that stays, of somebody else with the same address, keeps them, under whichever of the value's tokens it stands.
 */
async function forgetTokens(
  client: DatabaseClient,
  declaration: TableDeclaration,
  tokens: readonly string[],
): Promise<void> {
  const known = await withAliases(client, declaration, tokens);
  const needed = new Set(
    await withAliases(client, declaration, await tokensInTable(client, declaration, known)),
  );
  const gone = known.filter((token) => !needed.has(token));
  const kept = [
    [aliasesTable(declaration), 'token = ANY ($1::text[]) OR current = ANY ($1::text[])'],
    [vaultTable(declaration), 'token = ANY ($1::text[])'],
  ] as const;
  for (const [relation, isOfTokens] of kept) {
    if (await isThere(client, relation))
      await client.query(`DELETE FROM ${relation} WHERE ${isOfTokens}`, [gone]);
  }
}

/** The tokens, and those of the same values by aliases: a cut-off rekey leaves rows under one and the vault under another. */
async function withAliases(
  client: DatabaseClient,
  declaration: TableDeclaration,
  tokens: readonly string[],
): Promise<string[]> {
  const all = new Set(tokens);
  for (let size = -1; size < all.size; ) {
    size = all.size;
    for (const { token, current } of await findAliases(client, declaration, [...all]))
      all.add(token).add(current);
  }
  return [...all];
}

/** Those of the tokens that stand in a row. */
async function tokensInTable(
  client: DatabaseClient,
  { table, columns }: TableDeclaration,
  tokens: readonly string[],
): Promise<string[]> {
  const found = columns
    .filter(isMasked)
    .map(({ column }) => `SELECT ${column} AS token FROM ${table} WHERE ${column} = ANY ($1::text[])`);
  const { rows } = await client.query<{ token: string }>(found.join(' UNION '), [tokens]);
  return rows.map(({ token }) => token);
}

/** There is a vault only where recovery is sealed. */
async function isThere(client: DatabaseClient, relation: string): Promise<boolean> {
  const { rows } = await client.query<{ there: boolean }>('SELECT to_regclass($1) IS NOT NULL AS there', [
    relation,
  ]);
  return rows[0]!.there;
}
