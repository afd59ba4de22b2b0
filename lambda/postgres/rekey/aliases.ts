import type { ClientBase } from 'pg';
import { isMasked, type MaskedColumn, type TableDeclaration } from '../../events/declaration.ts';
import type { Keyset } from '../../masking/keyset.ts';
import { layersBetween, type Retokener, type Rotation, retokener } from '../../masking/retoken.ts';
import { analysis } from './analysis.ts';
import { blocksFor, readRelations, stretches } from './blocks.ts';
import type { RekeyProgress } from './progress.ts';
import { aliasesTable } from './tables.ts';
import { transact } from './transact.ts';

/** Rows that are looked at in one statement. */
const ROWS_A_STRETCH = 5_000;

/** How long work is told to end, and tells that it gets on. */
export interface Pace {
  /** Ends the work after what is under way. */
  readonly signal: AbortSignal;
  /** Told of each piece that was committed. */
  readonly onBatch: () => void;
}

/** What became of tokens that had no alias. */
export interface FilledAliases {
  readonly added: number;
  /** Tokens of the old key that are not authentic, or of another column. */
  readonly unreadable: number;
}

/**
 * Gives every token in the table that is not under the new key an alias under it, so that a value which stands there under
 * several keys is one to whoever looks through the views. Goes through the table by blocks, each in a transaction of its
 * own: what is cut off goes on where it ended, and what is done again does nothing. Tokens that an alias has made one stay one
 * at every moment.
 *
 * Irreversible tokens of other keys than `from` stay without where the new key is not layered over theirs.
 *
 * @throws KeysetError where those of `from` do
 */
export async function fillAliases(
  client: ClientBase,
  declaration: TableDeclaration,
  keyset: Keyset,
  rotation: Rotation,
  progress: RekeyProgress,
  pace?: Pace,
): Promise<FilledAliases> {
  const relations = await readRelations(client, declaration.table);
  const blocks = relations.reduce((sum, relation) => sum + relation.blocks, 0);
  progress.begin(`blocks looked through for tokens without an alias`, blocks);
  const fill = await aliasFiller(client, declaration, keyset, rotation);
  const filled = { added: 0, unreadable: 0 };
  for await (const stretch of stretches(client, declaration, blocksFor(ROWS_A_STRETCH))) {
    const { added, unreadable } = await fill(stretch.where);
    filled.added += added;
    filled.unreadable += unreadable;
    progress.advance(stretch.blocks);
    pace?.onBatch();
    if (pace?.signal.aborted) return filled;
  }
  progress.end();
  await client.query(analysis(aliasesTable(declaration)));
  return filled;
}

/**
 * Takes away the aliases that nobody needs when all are filled and the new key is primary. Where it was primary before, its
 * tokens are the current ones again; others are of tokens that the table has no more, under a key that was to be the new
 * one. Before the keys have changed they may be what joins the tokens to come.
 */
export async function dropFormerAliases(
  client: ClientBase,
  declaration: TableDeclaration,
  primary: string,
): Promise<void> {
  await client.query(
    `DELETE FROM ${aliasesTable(declaration)} WHERE ${kidOf('token')} = $1 OR ${kidOf('current')} <> $1`,
    [primary],
  );
}

/** Gives the tokens of some rows their aliases. @param where condition on the table */
export type AliasFiller = (where: string) => Promise<FilledAliases>;

interface Unaliased {
  readonly column: number;
  readonly kid: string;
  readonly token: string;
  /** By which the value is known until now: the token, where it has no alias. */
  readonly former: string;
}

/** Whether there are aliases to another key than the new one. @param from of tokens of this key only */
export async function hasLeftovers(
  client: ClientBase,
  declaration: TableDeclaration,
  to: string,
  from?: string,
): Promise<boolean> {
  const { rows } = await client.query(
    `SELECT FROM ${aliasesTable(declaration)}
     WHERE ${kidOf('current')} <> $1 AND ($2::text IS NULL OR ${kidOf('token')} = $2) LIMIT 1`,
    [to, from],
  );
  return rows.length > 0;
}

export async function aliasFiller(
  client: ClientBase,
  declaration: TableDeclaration,
  keyset: Keyset,
  { from, to }: Rotation,
): Promise<AliasFiller> {
  const columns = declaration.columns.filter(isMasked);
  const kids = keyset.kids.filter((kid) => kid !== to);
  const retoken = createRetokeners(keyset, columns, kids, to);
  const layered = kids.filter(
    (kid) => kid === from || layersBetween(keyset, { from: kid, to }) !== undefined,
  );
  const insert = (await hasLeftovers(client, declaration, to)) ? insertWithKin : insertNew;
  const find = (where: string) => findUnaliased(client, declaration, { where, to, kids, layered });
  return async (where) => {
    const groups = Map.groupBy(await find(where), ({ column, kid }) => `${column} ${kid}`);
    const filled = { added: 0, unreadable: 0 };
    for (const group of groups.values()) {
      const { column, kid } = group[0]!;
      const tokens = group.map(({ token }) => token);
      const current = retoken(column, kid)(tokens);
      const known = [...tokens.keys()].filter((place) => current[place] !== undefined);
      if (kid === from) filled.unreadable += tokens.length - known.length;
      filled.added += known.length;
      await insert(
        client,
        declaration,
        known.map((place) => ({
          token: tokens[place]!,
          former: group[place]!.former,
          current: current[place]!,
        })),
      );
    }
    return filled;
  };
}

/** Made when they are needed: most tables have tokens of one key. */
function createRetokeners(
  keyset: Keyset,
  columns: readonly MaskedColumn[],
  kids: readonly string[],
  to: string,
): (column: number, kid: string) => Retokener {
  const made = new Map<string, Retokener>();
  return (column, kid) => {
    const name = `${column} ${kid}`;
    const known = made.get(name) ?? retokener(keyset, columns[column]!, { from: kid, to });
    if (kids.includes(kid)) made.set(name, known);
    return known;
  };
}

interface Wanted {
  readonly where: string;
  readonly to: string;
  /** Whose recoverable tokens are wanted. */
  readonly kids: readonly string[];
  /** Whose irreversible tokens are wanted. */
  readonly layered: readonly string[];
}

/** The tokens of some rows that have no alias under the new key. */
async function findUnaliased(
  client: ClientBase,
  declaration: TableDeclaration,
  { where, to, kids, layered }: Wanted,
): Promise<Unaliased[]> {
  const columns = declaration.columns.filter(isMasked).map(
    ({ column }, place) => `
      SELECT DISTINCT ${place} AS column, ${kidOf(column)} AS kid, ${column}::text COLLATE "default" AS token
      FROM ${declaration.table}
      WHERE ${where} AND ${column} IS NOT NULL
        AND (starts_with(${column}, 's1~') AND ${kidOf(column)} = ANY ($2)
             OR starts_with(${column}, 'h1~') AND ${kidOf(column)} = ANY ($3))`,
  );
  // As a scalar, because a join with all aliases would be planned for many rows.
  const { rows } = await client.query<Unaliased>(
    `SELECT * FROM (
       SELECT *, coalesce((SELECT current FROM ${aliasesTable(declaration)} AS alias WHERE alias.token = found.token), token) AS former
       FROM (${columns.join(' UNION ALL ')}) AS found) AS known
     WHERE ${kidOf('former')} <> $1`,
    [to, kids, layered],
  );
  return rows;
}

interface Alias {
  readonly token: string;
  readonly former: string;
  readonly current: string;
}

/** Sorted, so that two who insert the same don't wait for each other. */
async function insertNew(
  client: ClientBase,
  declaration: TableDeclaration,
  aliases: readonly Pick<Alias, 'token' | 'current'>[],
): Promise<void> {
  await client.query(
    `INSERT INTO ${aliasesTable(declaration)} (token, current)
     SELECT DISTINCT ON (token) * FROM unnest($1::text[], $2::text[]) AS alias (token, current) ORDER BY token
     ON CONFLICT (token) DO UPDATE SET current = excluded.current`,
    [aliases.map(({ token }) => token), aliases.map(({ current }) => current)],
  );
}

/** With all tokens that are known by the same one until now: at no moment are they two for those who join. */
async function insertWithKin(
  client: ClientBase,
  declaration: TableDeclaration,
  aliases: readonly Alias[],
): Promise<void> {
  const formers = aliases.map(({ former, current }) => ({ token: former, current }));
  await transact(client, async () => {
    await client.query(
      `UPDATE ${aliasesTable(declaration)} AS alias SET current = known.current
       FROM unnest($1::text[], $2::text[]) AS known (former, current) WHERE alias.current = known.former`,
      [formers.map(({ token }) => token), formers.map(({ current }) => current)],
    );
    await insertNew(client, declaration, formers);
  });
}

/** The key's name in a token. */
function kidOf(token: string): string {
  return `split_part(${token}, '~', 2)`;
}
