import type { ClientBase } from 'pg';
import { DATE_COLUMN, isMasked, type TableDeclaration } from '../../events/declaration.ts';
import type { Scheme } from '../../masking/keyset.ts';
import { seeEveryRow } from '../partitions/hold.ts';
import { aliasesTable } from '../rekey/tables.ts';
import { isThere } from '../schema/catalog.ts';
import { vaultTable } from '../vault/tables.ts';

/** How many rows of a table hold tokens of one key in one scheme. */
export interface TokenCount {
  readonly kid: string;
  readonly scheme: Scheme;
  readonly rows: number;
  /** Earliest and latest date of such a row, as `2026-01-31`; null where rows have none. */
  readonly first: string | null;
  readonly last: string | null;
}

/** What stands before the second `~` of a token. */
const PREFIX = /^(s1|h1)~([a-z][a-z0-9]{0,7})$/;

/** The same in SQL, of what is a token; by position, because regular expressions take four times as long. */
function prefixOf(column: string): string {
  return `left(${column}, strpos(substr(${column}, 4, 9), '~') + 2)`;
}

/**
 * Counts the rows of a table by the keys of their tokens, in one scan and a transaction of its own. A row with tokens of two
 * keys counts for both.
 */
export async function countTokens(client: ClientBase, declaration: TableDeclaration): Promise<TokenCount[]> {
  const prefixes = declaration.columns.filter(isMasked).map(({ column }) => prefixOf(column));
  const { rows } = await seeEveryRow(client, declaration, () =>
    client.query<Group>(
      `SELECT prefixes, count(*)::float AS rows, min(day)::text AS first, max(day)::text AS last
       FROM (SELECT ARRAY[${prefixes.join(', ')}]::text[] AS prefixes, ${DATE_COLUMN} AS day FROM ${declaration.table}) AS tokens
       GROUP BY prefixes`,
    ),
  );
  const counts = new Map<string, TokenCount>();
  for (const { prefixes, ...group } of rows) {
    for (const prefix of new Set(prefixes)) {
      const [, scheme, kid] = PREFIX.exec(prefix ?? '') ?? [];
      if (prefix === null || scheme === undefined || kid === undefined) continue;
      counts.set(prefix, add({ ...group, scheme: scheme as Scheme, kid }, counts.get(prefix)));
    }
  }
  return [...counts.values()];
}

/** Rows that are alike in the keys of their tokens; what is no token has another text, or null. */
interface Group extends Pick<TokenCount, 'rows' | 'first' | 'last'> {
  readonly prefixes: readonly (string | null)[];
}

function add(count: TokenCount, to: TokenCount | undefined): TokenCount {
  // ISO dates sort as text does.
  const dates = (pick: 'first' | 'last') =>
    [count[pick], to?.[pick] ?? null].filter((date) => date !== null).toSorted();
  return {
    ...count,
    rows: count.rows + (to?.rows ?? 0),
    first: dates('first')[0] ?? null,
    last: dates('last').at(-1) ?? null,
  };
}

/** A table beside that of the events which holds tokens of a key. */
export interface TokenHolder {
  readonly table: string;
  readonly rows: number;
}

/** Where a key's tokens stand beside the table: names for a rekey that is not finished, and sealed values. */
export async function findHolders(
  client: ClientBase,
  declaration: TableDeclaration,
  kid: string,
): Promise<TokenHolder[]> {
  const patterns = [`s1~${kid}~%`, `h1~${kid}~%`];
  const holders: TokenHolder[] = [];
  for (const [name, columns] of [
    [aliasesTable(declaration), ['token', 'current']],
    [vaultTable(declaration), ['token']],
  ] as const) {
    if (!(await isThere(client, name))) continue;
    const held = columns.map((column) => `${column} LIKE ANY ($1)`).join(' OR ');
    const { rows } = await client.query<{ rows: number }>(
      `SELECT count(*)::float AS rows FROM ${name} WHERE ${held}`,
      [patterns],
    );
    if (rows[0]!.rows > 0) holders.push({ table: name, rows: rows[0]!.rows });
  }
  return holders;
}
