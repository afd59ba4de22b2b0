import { columnNames, DATE_COLUMN, type TableDeclaration } from '../../../lambda/events/declaration.ts';
import { loginEvents } from '../../../lambda/events/login-event.ts';
import type { AuditRow } from '../../../lambda/postgres/audit/audit.ts';
import type { DatabaseClient } from '../../../lambda/postgres/connection.ts';
import { seeEveryRow } from '../../../lambda/postgres/partitions/hold.ts';
import { findDeclaration } from '../../../lambda/postgres/schema/find-declaration.ts';
import { identifyPerson, passGate } from '../../keys/gate.ts';
import { findKeyset, type KeysetOptions } from '../../keys/keyset-store.ts';
import { requireAllKeys } from '../../keys/known-keys.ts';
import {
  conditionOf,
  READS_ALL,
  readValues,
  type Sought,
  seek,
  soughtUnder,
  type ValueOptions,
} from '../../keys/known-person.ts';
import { type DatabaseOptions, withDatabase } from '../../local/find-database.ts';
import { requireOutput } from '../../local/output.ts';
import { printableJson, printableTable } from '../../local/printable.ts';
import { sayWhatTakesLong } from '../../local/progress.ts';

export type LookupOptions = DatabaseOptions &
  KeysetOptions &
  ValueOptions & { readonly reason: string; readonly limit: number; readonly json: boolean };

interface Found {
  /** Rows that there are. */
  readonly total: number;
  /** As many of them as were asked for, the latest first. */
  readonly rows: readonly Readonly<Record<string, unknown>>[];
}

/** `vizard lookup`: the rows of a person of whom a value is known. Found in memory, then audited, then shown. @returns the exit code: 1 where rows could not be searched */
export async function lookup(options: LookupOptions): Promise<number> {
  requireOutput();
  const store = findKeyset(options);
  const person = await identifyPerson(store, options.reason);
  const values = await readValues(loginEvents, options, person.reason);
  return withDatabase(options, async (client) => {
    const keyset = await store.read();
    const declaration = await findDeclaration(client);
    const unsearched = await requireAllKeys(client, declaration, keyset);
    const sought = seek(keyset, declaration, values);
    const found = await sayWhatTakesLong(READS_ALL, () =>
      findRows(client, declaration, sought, options.limit),
    );
    const asked = { ...soughtUnder(keyset, sought), action: 'lookup', count: found.total } as const;
    return passGate(client, person, asked, (row) => {
      process.stdout.write(
        options.json ? renderJson({ ...found, unsearched }, row) : render(found, declaration),
      );
      return unsearched.length > 0 ? 1 : 0;
    });
  });
}

async function findRows(
  client: DatabaseClient,
  declaration: TableDeclaration,
  sought: Sought,
  limit: number,
): Promise<Found> {
  const { condition, values } = conditionOf(sought);
  const columns = columnNames(declaration).map((name) => (name === DATE_COLUMN ? `${name}::text` : name));
  const { rows } = await seeEveryRow(client, declaration, () =>
    client.query<{ total: string; row: Record<string, unknown> }>(
      `WITH found AS MATERIALIZED (SELECT ${columns.join(', ')} FROM ${declaration.table} WHERE ${condition})
       SELECT (SELECT count(*) FROM found) AS total, row_to_json(found) AS row
       FROM found ORDER BY ${DATE_COLUMN} DESC LIMIT ${limit}`,
      values,
    ),
  );
  return { total: Number(rows[0]?.total ?? 0), rows: rows.map(({ row }) => row) };
}

function renderJson(
  { total, rows, unsearched }: Found & { readonly unsearched: readonly string[] },
  { number, hash }: AuditRow,
): string {
  return `${printableJson({ total, rows, unsearched, audit: { number, hash } })}\n`;
}

function render({ total, rows }: Found, declaration: TableDeclaration): string {
  if (total === 0) return `${declaration.table}: no rows\n`;
  const names = columnNames(declaration);
  const cells = rows.map((row) => names.map((name) => row[name]));
  return `${declaration.table}: ${rows.length} of ${total} rows\n${printableTable(names, cells)}`;
}
