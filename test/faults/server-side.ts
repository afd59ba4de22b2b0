import type { ClientBase } from 'pg';
import { expect, vi } from 'vitest';
import { withClient } from '../../lambda/postgres/connection.ts';
import type { TestDatabase } from '../support/database.ts';

export type Database = Pick<TestDatabase, 'login' | 'rows'>;

/** A session of the test's own, which is not taken for one of the function. */
export function withSession<T>(
  { login }: Pick<Database, 'login'>,
  work: (client: ClientBase) => Promise<T>,
): Promise<T> {
  return withClient(login, async (client) => {
    await client.query(`SET application_name = 'test'`);
    return work(client);
  });
}

/** Resolves when a session of the function under test waits for a lock, none of those seen. @returns its process */
export async function waitForLockWait({ rows }: Database, seen: readonly number[] = []): Promise<number> {
  return vi.waitFor(
    async () => {
      const waiting = await rows<{ pid: number }>(
        `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'vizard'
           AND wait_event_type = 'Lock' AND pid <> ALL ($1)`,
        [seen],
      );
      expect(waiting.length, 'sessions that wait').toBeGreaterThan(0);
      return waiting[0]!.pid;
    },
    { timeout: 10_000, interval: 20 },
  );
}

/** Ends sessions of the function under test, as an administrator or a restart does. @param pid @default all of them */
export async function terminate({ rows }: Database, pid: number | null = null): Promise<void> {
  const ended = await rows(
    `SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
     WHERE datname = current_database() AND application_name = 'vizard' AND pid = coalesce($1, pid)`,
    [pid],
  );
  expect(ended.length, 'sessions that were ended').toBeGreaterThan(0);
}

/** While the table is locked, whatever needs it waits. */
export async function whileLocked<T>(
  database: Database,
  work: (unlock: () => Promise<void>) => Promise<T>,
): Promise<T> {
  return withSession(database, async (session) => {
    await session.query('BEGIN; LOCK TABLE user_logins IN ACCESS EXCLUSIVE MODE');
    return work(async () => {
      await session.query('ROLLBACK');
    });
  });
}

/** Statements stop at a row of this user until they are let go on: rows before it are written, rows after it not. */
export async function whileStoppedAt<T>(
  database: Database,
  userId: string,
  work: (goOn: () => Promise<void>) => Promise<T>,
): Promise<T> {
  const stop = { condition: `NEW.user_id = '${userId}'`, action: 'PERFORM pg_advisory_xact_lock_shared(1)' };
  return withTrigger(database, stop, () =>
    withSession(database, async (session) => {
      await session.query('SELECT pg_advisory_lock(1)');
      return work(async () => {
        await session.query('SELECT pg_advisory_unlock(1)');
      });
    }),
  );
}

export interface Trigger {
  /** @default BEFORE */
  readonly when?: 'BEFORE' | 'AFTER';
  /** Which rows. */
  readonly condition: string;
  /** PL/pgSQL. */
  readonly action: string;
}

/** What the table does before or after it takes a row. */
export async function withTrigger<T>(
  database: Pick<Database, 'login'>,
  { when = 'BEFORE', condition, action }: Trigger,
  work: () => Promise<T>,
): Promise<T> {
  const ddl = (sql: string) => withSession(database, (session) => session.query(sql));
  await ddl(`
    CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${action}; RETURN NEW; END $$;
    CREATE TRIGGER fault ${when} INSERT ON user_logins FOR EACH ROW WHEN (${condition}) EXECUTE FUNCTION fault()`);
  try {
    return await work();
  } finally {
    await ddl('DROP FUNCTION fault CASCADE');
  }
}
