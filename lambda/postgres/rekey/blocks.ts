import type { ClientBase } from 'pg';
import type { TableDeclaration } from '../../events/declaration.ts';

/** A table, or one leaf of a partitioned one, as a piece that is gone through block by block. */
export interface Relation {
  /** Quoted where it has to be. */
  readonly name: string;
  /** Through which it is reached. */
  readonly table: string;
  /** What holds for its rows, in SQL; with it the planner leaves the other partitions alone. Empty for a plain table. */
  readonly condition: string;
  /** When this was asked. */
  readonly blocks: number;
}

/**
 * The relations that hold the rows of a table, in the order of their names; none where there is no table. They are reached through the table, because
 * nobody but the owner has a right on its partitions.
 */
export async function readRelations(client: ClientBase, table: string): Promise<Relation[]> {
  const { rows } = await client.query<{ name: string; oid: string; bounds: string | null; blocks: string }>(
    `SELECT relid::regclass::text AS name, relid::oid AS oid,
            pg_relation_size(relid) / current_setting('block_size')::int AS blocks,
            CASE WHEN pg_get_expr(relpartbound, relid) <> 'DEFAULT' THEN pg_get_partition_constraintdef(relid) END AS bounds
     FROM pg_partition_tree(to_regclass($1)) JOIN pg_class ON pg_class.oid = relid
     WHERE isleaf AND relkind = 'r'
     UNION ALL
     SELECT oid::regclass::text, oid, pg_relation_size(oid) / current_setting('block_size')::int, NULL
     FROM pg_class WHERE oid = to_regclass($1) AND relkind = 'r' AND NOT relispartition
`,
    [table],
  );
  const isWhole = rows.length === 1 && rows[0]!.bounds === null;
  const sorted = rows.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  return sorted.map(({ name, oid, bounds, blocks }) => ({
    name,
    table,
    condition: isWhole ? '' : ` AND ${table}.tableoid = ${oid}${bounds === null ? '' : ` AND ${bounds}`}`,
    blocks: Number(blocks),
  }));
}

/** Rows that a block of 8 KiB holds, as they are with tokens. */
const ROWS_A_BLOCK = 32;

/** Blocks that hold about as many rows. */
export function blocksFor(rows: number): number {
  return Math.max(1, Math.round(rows / ROWS_A_BLOCK));
}

/** The rows in some blocks of a relation, as the condition of a statement on its table; it needs a TID range scan. */
export function within({ table, condition }: Relation, from: number, to: number): string {
  return `${table}.ctid >= '(${from},0)' AND ${table}.ctid < '(${to},0)'${condition}`;
}

/** Everything in the table, by some blocks at a time; also what is moved into partitions that are made meanwhile. */
export async function* stretches(
  client: ClientBase,
  { table }: TableDeclaration,
  blocks: number,
): AsyncGenerator<{ readonly where: string; readonly blocks: number }> {
  const seen = new Set<string>();
  for (;;) {
    const relations = (await readRelations(client, table)).filter(({ name }) => !seen.has(name));
    if (relations.length === 0) return;
    for (const relation of relations) {
      seen.add(relation.name);
      for (let from = 0; from < relation.blocks; from += blocks) {
        const to = Math.min(from + blocks, relation.blocks);
        yield { where: within(relation, from, to), blocks: to - from };
      }
    }
  }
}
