import Table from 'cli-table3';
import {
  columnNames,
  DATE_COLUMN,
  ID_COLUMN,
  isMasked,
  type TableDeclaration,
} from '../../lambda/events/declaration.ts';
import { withClient } from '../../lambda/postgres/connection.ts';
import { findDeclaration } from '../../lambda/postgres/schema/find-declaration.ts';

type Row = Readonly<Record<string, unknown>>;

/** What the command line shows of a table. */
export interface TableView {
  readonly total: number;
  readonly rows: readonly Row[];
  /** How many masked values repeat. */
  readonly repeating: number;
  readonly repeats: readonly Row[];
}

/** How many of each to read. */
export interface Limits {
  readonly rows: number;
  readonly repeats: number;
}

/** The latest rows and the masked values that repeat most. */
export async function readTable(
  url: string,
  declaration: TableDeclaration,
  limits: Limits,
): Promise<TableView> {
  const { table, repeats } = declaration;
  return withClient({ kind: 'url', url }, async (client) => {
    const found = await findDeclaration(client, declaration);
    const columns = columnNames(found).map((name) => (name === DATE_COLUMN ? `${name}::text` : name));
    const count = async (relation: string) => {
      const { rows } = await client.query<{ count: number }>(`SELECT count(*)::int FROM ${relation}`);
      return rows[0]!.count;
    };
    const rows = await client.query<Row>(
      `SELECT ${columns.join(', ')} FROM ${table} ORDER BY ${DATE_COLUMN} DESC LIMIT ${limits.rows}`,
    );
    const repeated = await client.query<Row>(
      `SELECT kind, masked_value, ${repeats.count}::int, ${repeats.subjects}::int, first_date::text, last_date::text
       FROM ${repeats.view} ORDER BY ${repeats.count} DESC, kind, masked_value LIMIT ${limits.repeats}`,
    );
    return {
      total: await count(table),
      rows: rows.rows,
      repeating: await count(repeats.view),
      repeats: repeated.rows,
    };
  });
}

/** The view as text for a person; tokens and ids are cut short, so that a row fits a line. */
export function renderTable(view: TableView, declaration: TableDeclaration): string {
  const { table, repeats, columns, further = [] } = declaration;
  const long = new Set<string>(['masked_value', repeats.subject, ID_COLUMN]);
  for (const { column } of [...columns, ...further].filter(isMasked)) long.add(column);
  return [
    `${table}: ${view.rows.length} of ${view.total} rows`,
    renderRows(view.rows, long),
    `${repeats.view}: ${view.repeats.length} of ${view.repeating} masked values that repeat`,
    renderRows(view.repeats, long),
  ].join('\n');
}

function renderRows(rows: readonly Row[], long: ReadonlySet<string>): string {
  const head = Object.keys(rows[0] ?? {});
  if (head.length === 0) return '  none\n';
  const table = new Table({ head, style: { head: [], border: [], compact: true } });
  for (const row of rows) {
    table.push(head.map((name) => (long.has(name) ? shorten(cell(row[name])) : cell(row[name]))));
  }
  return `${table.toString()}\n`;
}

function cell(value: unknown): string {
  return value === null ? 'NULL' : String(value);
}

function shorten(text: string): string {
  return text.length > 14 ? `${text.slice(0, 9)}…${text.slice(-4)}` : text;
}
