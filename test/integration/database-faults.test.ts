import { describe, expect, it, vi } from 'vitest';
import { type Login, withClient } from '../../lambda/postgres/connection.ts';
import { useDatabase } from '../support/database.ts';
import { useFunctions } from '../support/function.ts';
import { startProxy } from '../support/proxy.ts';
import { loginEvent, record, records } from '../support/records.ts';
import { tlsLogin } from '../support/tls.ts';

const database = useDatabase();
const createFunction = useFunctions();

/** Resolves when a connection of the function under test waits for a lock, none of those seen. @returns its process */
async function waitForLockWait(seen: readonly number[] = []): Promise<number> {
  return vi.waitFor(
    async () => {
      const rows = await database.rows<{ pid: number }>(
        `SELECT pid FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event_type = 'Lock' AND pid <> ALL ($1)`,
        [seen],
      );
      if (rows.length === 0) throw new Error('nobody waits yet');
      return rows[0]!.pid;
    },
    { timeout: 10_000, interval: 20 },
  );
}

describe('a fault of the database', () => {
  it('that kills the idle connection is mended within the next invocation', async () => {
    const { invoke, reports } = createFunction({ databaseUrl: database.url });
    await invoke(records(10));
    await withClient(database.login, (client) =>
      client.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE datname = current_database() AND application_name = 'vizard' AND pid <> pg_backend_pid()`),
    );

    expect(await invoke(records(10))).toEqual([]);

    expect(reports[1]).toMatchObject({ stored: 10 });
    expect(await database.count()).toBe(20);
  });

  it('that kills the connection in the middle of a statement is mended within the invocation', async () => {
    const { invoke, reports, log } = createFunction({ databaseUrl: database.url });

    const failed = await withClient(database.login, async (client) => {
      await client.query('BEGIN; LOCK TABLE user_logins IN ACCESS EXCLUSIVE MODE');
      const invocation = invoke(records(10));
      const pid = await waitForLockWait();
      await client.query('SELECT pg_terminate_backend($1)', [pid]);
      await client.query('ROLLBACK');
      return invocation;
    });

    expect(failed).toEqual([]);
    expect(log.map(({ code }) => code)).toContain('57P01');
    expect(reports[0]).toMatchObject({ stored: 10 });
  });

  it.each([
    ['takes the other half', 1, { stored: 5, unreachable: undefined }],
    ['loses the other half too', 2, { stored: 0, unreachable: '57P01' }],
  ])('that loses half of a batch which was slow, and %s', async (_name, losses, expected) => {
    const { invoke, reports } = createFunction({ databaseUrl: database.url });

    const failed = await withClient(database.login, async (client) => {
      await client.query('BEGIN; LOCK TABLE user_logins IN ACCESS EXCLUSIVE MODE');
      const invocation = invoke(records(10), { milliseconds: 8_000 });
      const seen = [await waitForLockWait()];
      for (let loss = 0; loss < losses; loss++) {
        const pid = await waitForLockWait(seen);
        seen.push(pid);
        await client.query('SELECT pg_terminate_backend($1)', [pid]);
      }
      await client.query('ROLLBACK');
      return invocation;
    });

    expect(failed).toHaveLength(10 - expected.stored);
    expect(reports).toMatchObject([expected]);
  });

  it('that refuses a COPY whose rows are still on their way does not end the process', async () => {
    const { invoke, reports } = createFunction({ databaseUrl: database.url });
    const long = '😀'.repeat(32);
    // More than the buffers of the sockets take.
    const wide = { user_id: long.repeat(4), device_type: long, locale: long, device_id: 'y'.repeat(150) };
    const batch = Array.from({ length: 10_000 }, () => record(loginEvent(wide)));

    const failed = await withClient(database.login, async (client) => {
      await client.query('BEGIN');
      await client.query(`INSERT INTO user_logins (create_date, event_id) VALUES ('2023-11-14', $1)`, [
        batch[100]?.messageId,
      ]);
      const invocation = invoke(batch);
      await waitForLockWait();
      await client.query('COMMIT');
      return invocation;
    });

    expect(failed).toEqual([]);
    expect(reports[0]).toMatchObject({ stored: 9_999, duplicates: 1 });
  });

  it.each<[string, (url: string) => Login]>([
    ['', (url) => ({ kind: 'url', url })],
    [' by TLS', tlsLogin],
  ])(
    'that stops answering%s in the middle of a batch hands every id back, and is named',
    async (_, login) => {
      let silent = false;
      const proxy = await startProxy(database.url, () => silent);
      const { invoke, reports } = createFunction({ login: login(proxy.url) });
      await invoke(records(1));
      silent = true;

      const failed = await invoke(records(10), { milliseconds: 2_000 });
      proxy.close();

      expect(failed).toHaveLength(10);
      expect(reports.map(({ unreachable }) => unreachable)).toEqual([undefined, 'connection_lost']);
      expect(await database.count()).toBe(1);
    },
  );

  it('that leaves a connection attempt without an answer does not keep the next invocation waiting', async () => {
    const proxy = await startProxy(database.url, (connection) => connection === 0);
    const { invoke, reports } = createFunction({ databaseUrl: proxy.url });
    const batch = records(10);

    const first = await invoke(batch, { milliseconds: 2_000 });
    const second = await invoke(batch, { milliseconds: 20_000 });
    proxy.close();

    expect([first.length, second.length]).toEqual([10, 0]);
    expect(reports.map(({ unreachable }) => unreachable)).toEqual(['connection_lost', undefined]);
    expect(await database.count()).toBe(10);
    // An attempt is given up after 35 s where the invocation does not end it.
  }, 15_000);

  it('that drops rows in silence acknowledges none', async () => {
    await database.client.query(`
      CREATE FUNCTION drop_row() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
      CREATE TRIGGER drop_row BEFORE INSERT ON user_logins FOR EACH ROW EXECUTE FUNCTION drop_row()`);
    const { invoke } = createFunction({ databaseUrl: database.url });
    try {
      await expect(invoke(records(3))).rejects.toThrow('the table took 0 of 3 rows');
    } finally {
      await database.client.query('DROP FUNCTION drop_row CASCADE');
    }
  });

  it('that is a fault of the deployment blames no record', async () => {
    const { invoke, log } = createFunction({ databaseUrl: database.url });
    await database.client.query('ALTER TABLE user_logins RENAME TO gone');
    try {
      await expect(invoke([...records(10), record('{}')])).rejects.toThrow(
        'the database does not fit this version: schema or privileges (42P01)',
      );
    } finally {
      await database.client.query('ALTER TABLE gone RENAME TO user_logins');
    }
    expect(log.filter(({ message }) => message === 'rejected')).toEqual([]);
    expect(await database.count()).toBe(0);
  });

  it('that leaves us on a reader is mended on another connection', async () => {
    const { invoke, reports } = createFunction({ databaseUrl: database.url });
    await database.client.query(`DO $$ BEGIN
      EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$`);
    await expect(invoke(records(3), { milliseconds: 20_000 })).rejects.toThrow('(25006)');
    await database.client.query(`DO $$ BEGIN
      EXECUTE format('ALTER DATABASE %I RESET default_transaction_read_only', current_database()); END $$`);

    expect(await invoke(records(3))).toEqual([]);

    expect(reports.at(-1)).toMatchObject({ stored: 3 });
  });

  it('that refuses connections makes the invocation fail, so that the mapping backs off', async () => {
    const { invoke, failures, reports } = createFunction({
      databaseUrl: 'postgres://nobody@127.0.0.1:1/none',
    });

    await expect(invoke(records(3))).rejects.toThrow('the database cannot be reached (ECONNREFUSED)');
    expect(failures).toMatchObject([{ name: 'DatabaseFailure', code: 'ECONNREFUSED' }]);
    expect(reports).toEqual([]);
  });
});
