import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientBase, QueryResult } from 'pg';
import { type Deadline, NO_DEADLINE } from '../../deadline.ts';
import { VizardError } from '../../errors.ts';
import type { TableDeclaration } from '../../events/declaration.ts';
import { classify } from '../sqlstate.ts';
import { beginStatement, timeout } from '../transaction.ts';
import { idempotencyIndex } from './table.ts';

export interface SchemaChangeOptions {
  /** @default - no limit */
  readonly deadline?: Deadline;
  /** Milliseconds that an attempt waits for a lock, and that the next one lets pass. @default 5000 */
  readonly lockWait?: number;
}

/** A statement that may have to wait or take long; it gets what is left of the time. */
export type Run = (statement: string, values?: unknown[]) => Promise<QueryResult>;

/** Whoever comes after a statement that waits for a lock waits as well, the ingest included. Milliseconds. */
const LOCK_WAIT = 5_000;
const MAX_ATTEMPTS = 3;

/**
 * Changes something of the schema in a transaction, while nobody else does. Tries again when somebody holds a lock that it
 * needs; then the change begins anew.
 *
 * @param change given the quoted schema of the table, which is also the search_path
 */
export async function changeSchema<T>(
  client: ClientBase,
  declaration: TableDeclaration,
  { deadline = NO_DEADLINE, lockWait = LOCK_WAIT }: SchemaChangeOptions,
  change: (run: Run, schema: string) => Promise<T>,
): Promise<T> {
  const run: Run = async (statement, values) => {
    await client.query(`SET LOCAL statement_timeout = ${timeout(deadline.remaining())}`);
    return client.query(statement, values);
  };
  for (let attempt = 1; ; attempt++) {
    try {
      await client.query(beginStatement(deadline));
      // CREATE TABLE of two sessions at once fails in one of them (23505 in pg_type), and so does GRANT on one schema (XX000).
      await run(`SELECT pg_advisory_xact_lock(hashtext('vizard migration'))`);
      // Not before that lock, whose holder may build an index for minutes and keeps nobody else waiting.
      await client.query(`SET LOCAL lock_timeout = ${lockWait}`);
      // Names are compared as the server writes them, and our marks on views are made of that.
      await client.query('SET LOCAL quote_all_identifiers = off');
      const schema = await findSchema(client, declaration);
      await client.query(`SET LOCAL search_path = ${schema}`);
      const result = await change(run, schema);
      await client.query('COMMIT');
      return result;
    } catch (error) {
      await client.query('ROLLBACK').catch(() => {});
      const contended = classify(error, idempotencyIndex(declaration)) === 'contention';
      if (!contended || attempt === MAX_ATTEMPTS || deadline.remaining() === 0) throw error;
      // Those who queued behind the statement get as much time as it took them.
      await sleep(Math.min(lockWait, deadline.remaining()));
    }
  }
}

/** Where the table is, else where it will be. @returns its quoted name */
async function findSchema(client: ClientBase, { table }: TableDeclaration): Promise<string> {
  const { rows } = await client.query<{ schema: string | null }>(
    `SELECT quote_ident(coalesce(
       (SELECT nspname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace WHERE pg_class.oid = to_regclass($1)),
       current_schema())) AS schema`,
    [table],
  );
  const schema = rows[0]!.schema;
  if (schema === null) {
    throw new VizardError(
      `table ${table}: expected a schema to make it in, got none by the search_path; create the schema public`,
    );
  }
  return schema;
}
