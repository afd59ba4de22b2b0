import type { ClientBase } from 'pg';
import { isMasked, type TableDeclaration } from '../../events/declaration.ts';
import { seeEveryRow } from '../partitions/hold.ts';
import { hasTokenOf } from './batch.ts';

/** What there is of a key in the table. */
export interface RowsOfKey {
  readonly rows: number;
  /** Those of them with an irreversible token of it. */
  readonly irreversible: number;
}

/** Counts the rows that have a token of a key, in one scan and a transaction of its own. */
export async function countRowsOf(
  client: ClientBase,
  declaration: TableDeclaration,
  kid: string,
): Promise<RowsOfKey> {
  const irreversible = declaration.columns
    .filter(isMasked)
    .map(({ column }) => `starts_with(${column}, 'h1~${kid}~')`);
  const { rows } = await seeEveryRow(client, declaration, () =>
    client.query<RowsOfKey>(
      `SELECT count(*)::float AS rows, (count(*) FILTER (WHERE ${irreversible.join(' OR ')}))::float AS irreversible
       FROM ${declaration.table} WHERE ${hasTokenOf(kid, declaration)}`,
    ),
  );
  return rows[0]!;
}
