import { VizardError } from '../../../lambda/errors.ts';
import type { DatabaseClient } from '../../../lambda/postgres/connection.ts';
import { errorCode, isDatabaseFault } from '../../../lambda/postgres/sqlstate.ts';
import { type AskedToken, type AskedTokens, tooMany } from './asked-tokens.ts';

/** How long each step of the query may take. Milliseconds. */
const QUERY_TIMEOUT = 60_000;
const FETCHED = 1_000;

type Row = Readonly<Record<string, unknown>>;

/**
 * Tokens that stand in a column of a query, which changes nothing, takes at most a minute a step, and is not read further
 * than the limit, which is one of rows, NULLs included.
 *
 * @throws VizardError where it fails, lacks the column, or has more rows than the limit
 */
export async function tokensOfQuery(
  client: DatabaseClient,
  { query, column, limit }: { readonly query: string; readonly column: string; readonly limit: number },
): Promise<AskedTokens> {
  try {
    await client.query(`BEGIN READ ONLY; SET LOCAL statement_timeout = ${QUERY_TIMEOUT}`);
    // A statement with a name is parsed as one, so that no second one can end the transaction.
    await client.query({ name: 'asked', text: `DECLARE asked NO SCROLL CURSOR FOR ${query}` });
    return await fetchTokens(client, column, limit);
  } catch (error) {
    if (!isDatabaseFault(error)) throw error;
    const code = errorCode(error);
    throw new VizardError(`--query failed (${code}); ${ADVICE[code] ?? 'try it in psql first'}`);
  } finally {
    await client.query('ROLLBACK').catch(() => {});
  }
}

async function fetchTokens(client: DatabaseClient, column: string, limit: number): Promise<AskedTokens> {
  const tokens: AskedToken[] = [];
  let position = 0;
  for (;;) {
    const { rows, fields } = await client.query<Row>(`FETCH ${FETCHED} FROM asked`);
    if (!fields.some(({ name }) => name === column))
      throw new VizardError(
        `--column: expected a column of the query, got none of that name among ${fields.length}; name one that it returns`,
      );
    for (const row of rows) {
      if (++position > limit) throw tooMany(limit, 'rows');
      const value = row[column];
      if (value === null) continue;
      if (typeof value !== 'string')
        throw new VizardError(
          `--column: expected text, got a ${typeof value}; name a column that holds tokens`,
        );
      tokens.push({ text: value, position });
    }
    if (rows.length < FETCHED) return { unit: 'row', tokens, nulls: position - tokens.length };
  }
}

/** By SQLSTATE. */
const ADVICE: Readonly<Record<string, string>> = {
  '25006': 'it may only read',
  '42501': 'log in as a role that may read what it reads',
  '42601': 'expected one SELECT of SQL',
  '42P01': 'a table of it is not there',
  '42703': 'a column of it is not there',
  '57014': `a step of it took longer than ${QUERY_TIMEOUT / 1000} s`,
};
