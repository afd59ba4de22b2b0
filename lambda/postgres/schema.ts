import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientBase } from 'pg';
import { type Deadline, NO_DEADLINE } from '../deadline.ts';
import { VizardError } from '../errors.ts';
import type { TableDeclaration } from '../events/declaration.ts';
import { bringUpKeysTable } from './keys-table.ts';
import { bringUpRoles, type RoleNames } from './roles.ts';
import { classify } from './sqlstate.ts';
import { bringUpTable, idempotencyIndex } from './table.ts';

export interface MigrationOptions {
  /** Brought up as well where they are given. */
  readonly roles?: RoleNames | undefined;
  /** @default - no limit */
  readonly deadline?: Deadline;
  /** Milliseconds that an attempt waits for a lock, and that the next one lets pass. @default 5000 */
  readonly lockWait?: number;
}

/** Whoever comes after a statement that waits for a lock waits as well, the ingest included. Milliseconds. */
const LOCK_WAIT = 5_000;
const MAX_ATTEMPTS = 3;

/**
 * Brings table, index, view and the table of key proofs up, in one transaction. Idempotent, safe to run from several
 * places at once, and takes over a table that is there already, rows included: what is missing is added, nothing is
 * changed. Where nothing is missing it waits for no reader and no writer, and none waits for it.
 *
 * @returns what was not there before: `table …`, `role …`
 * @throws VizardError when the table that is there can't take the events
 */
export async function migrate(
  client: ClientBase,
  declaration: TableDeclaration,
  { roles, deadline = NO_DEADLINE, lockWait = LOCK_WAIT }: MigrationOptions = {},
): Promise<string[]> {
  for (let attempt = 1; ; attempt++) {
    try {
      await client.query('BEGIN');
      const created = await bringUp(client, declaration, { roles, deadline, lockWait });
      await client.query('COMMIT');
      return created;
    } catch (error) {
      await client.query('ROLLBACK').catch(() => {});
      const contended = classify(error, idempotencyIndex(declaration)) === 'contention';
      if (!contended || attempt === MAX_ATTEMPTS || deadline.remaining() === 0) throw error;
      // Those who queued behind the statement get as much time as it took them.
      await sleep(Math.min(lockWait, deadline.remaining()));
    }
  }
}

async function bringUp(
  client: ClientBase,
  declaration: TableDeclaration,
  { roles, deadline, lockWait }: Required<MigrationOptions>,
): Promise<string[]> {
  const limit = () => client.query(`SET LOCAL statement_timeout = ${statementTimeout(deadline)}`);
  const run = async (statement: string) => {
    await limit();
    await client.query(statement);
  };
  // CREATE TABLE of two sessions at once fails in one of them (23505 in pg_type), and so does GRANT on one schema (XX000).
  await run(`SELECT pg_advisory_xact_lock(hashtext('vizard migration'))`);
  // Not before that lock, whose holder may build an index for minutes and keeps nobody else waiting.
  await client.query(`SET LOCAL lock_timeout = ${lockWait}`);
  const schema = await findSchema(client, declaration);
  await client.query(`SET LOCAL search_path = ${schema}`);
  const created = await bringUpTable(client, declaration, run);
  await bringUpKeysTable(client, declaration, run);
  if (roles === undefined) return created;
  await limit();
  const newRoles = await bringUpRoles(client, declaration, roles, schema);
  return [...created, ...newRoles.map((role) => `role ${role}`)];
}

/** 0 is none. */
function statementTimeout(deadline: Deadline): number {
  const remaining = deadline.remaining();
  return remaining === Infinity ? 0 : Math.max(1, Math.floor(remaining));
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
