import { once } from 'node:events';
import type { ClientBase } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { columnNames } from '../../lambda/events/declaration.ts';
import { loginEvents } from '../../lambda/events/login-event.ts';

/** Values in the order of the table's columns. */
export type Row = readonly (string | number | null)[];

/** Writes a batch in one of the ways that are found in other people's code. */
export type Way = (client: ClientBase, rows: readonly Row[]) => Promise<unknown>;

const { table } = loginEvents;
const names = columnNames(loginEvents);
const columns = names.join(', ');
const INTO = `INSERT INTO ${table} (${columns})`;
const SKIP = 'ON CONFLICT (create_date, event_id) DO NOTHING';
const TYPES = ['text', 'text', 'text', 'text', 'text', 'integer', 'date', 'uuid'];
const ROWS_A_STATEMENT = 1_000;

function placeholders(row: number): string {
  return `(${names.map((_, i) => `$${row * names.length + i + 1}`).join(', ')})`;
}

export const rowByRow: Way = async (client, rows) => {
  for (const row of rows) await client.query(`${INTO} VALUES ${placeholders(0)} ${SKIP}`, [...row]);
};

export const oneTransaction: Way = async (client, rows) => {
  await client.query('BEGIN');
  await rowByRow(client, rows);
  await client.query('COMMIT');
};

export const multiRowValues: Way = async (client, rows) => {
  await client.query('BEGIN');
  for (let i = 0; i < rows.length; i += ROWS_A_STATEMENT) {
    const part = rows.slice(i, i + ROWS_A_STATEMENT);
    const values = part.map((_, row) => placeholders(row)).join(', ');
    await client.query(`${INTO} VALUES ${values} ${SKIP}`, part.flat());
  }
  await client.query('COMMIT');
};

export const unnestArrays: Way = (client, rows) => {
  const arrays = TYPES.map((type, i) => `$${i + 1}::${type}[]`).join(', ');
  const values = names.map((_, column) => rows.map((row) => row[column]));
  return client.query(`${INTO} SELECT * FROM unnest(${arrays}) ${SKIP}`, values);
};

export const copyAndMerge: Way = async (client, rows) => {
  await client.query('BEGIN');
  await client.query(`CREATE TEMPORARY TABLE incoming (LIKE ${table}) ON COMMIT DROP`);
  const stream = client.query(copyFrom('COPY incoming FROM STDIN'));
  stream.end(rows.map((row) => `${row.map((value) => value ?? '\\N').join('\t')}\n`).join(''));
  await once(stream, 'finish');
  await client.query(`${INTO} SELECT * FROM incoming ${SKIP}`);
  await client.query('COMMIT');
};
