import { describe, expect, it, vi } from 'vitest';
import { withClient } from '../../lambda/postgres/connection.ts';
import { beginStatement } from '../../lambda/postgres/transaction.ts';
import { useDatabase } from '../support/database.ts';
import { startProxy } from '../support/proxy.ts';
import { useLedger } from './ledger.ts';
import { idsOf, planted } from './planted.ts';
import { waitForLockWait, whileLocked, withTrigger } from './server-side.ts';

const database = useDatabase();
const { createFunction, warmFunction, reconcile } = useLedger(database);

/** Statements of the function that the server is still busy with. */
function busy(): Promise<unknown[]> {
  return database.rows(
    `SELECT query FROM pg_stat_activity
     WHERE datname = current_database() AND application_name = 'vizard' AND state <> 'idle'`,
  );
}

describe('a database that is slow', () => {
  it('because the table is locked gets every id back in time, and is not called unreachable', async () => {
    const { invoke, reports } = createFunction({ databaseUrl: database.url });
    const batch = planted(10);
    const start = performance.now();

    const failed = await whileLocked(database, () => invoke(batch, { milliseconds: 6_000 }));

    expect(performance.now() - start).toBeLessThan(6_000);
    expect(new Set(failed)).toEqual(new Set(idsOf(batch)));
    expect(reports).toMatchObject([{ unreachable: undefined, lag: undefined }]);
    expect(await busy()).toEqual([]);
    expect(await database.count()).toBe(0);
    await reconcile();
  });

  it.each([
    ['a statement sleeps', 10, 60],
    ['every row takes a little too long', 1_000, 0.004],
  ])('because %s ends it, and hands every id back in time', async (_name, rows, seconds) => {
    const { invoke, reports } = createFunction({ databaseUrl: database.url });
    const batch = planted(rows);
    const sleepy = { condition: 'true', action: `PERFORM pg_sleep(${seconds})` };

    await withTrigger(database, sleepy, async () => {
      const start = performance.now();
      const failed = await invoke(batch, { milliseconds: 4_000 });

      expect(performance.now() - start).toBeLessThan(4_000);
      expect(new Set(failed)).toEqual(new Set(idsOf(batch)));
      expect(await busy()).toEqual([]);
    });

    expect(reports).toMatchObject([{ unreachable: undefined }]);
    expect(await database.count()).toBe(0);
    await reconcile();
  });

  it('for a while stores what it can when it is well again', async () => {
    const { invoke, reports } = createFunction({ databaseUrl: database.url });

    const failed = await whileLocked(database, async (unlock) => {
      const invocation = invoke(planted(10), { milliseconds: 20_000 });
      await waitForLockWait(database);
      await unlock();
      return invocation;
    });

    expect(failed).toEqual([]);
    expect(reports).toMatchObject([{ stored: 10 }]);
    await reconcile();
  });
});

describe('an invocation with 3 s left', () => {
  it('stores a full batch where the database is well', async () => {
    const { invoke } = createFunction({ databaseUrl: database.url });

    expect(await invoke(planted(5_000), { milliseconds: 3_000 })).toEqual([]);
    await reconcile();
  });

  it.each([
    ['the table is locked', whileLocked],
    [
      'every row takes long',
      (where: typeof database, work: () => Promise<string[]>) =>
        withTrigger(where, { condition: 'true', action: 'PERFORM pg_sleep(0.02)' }, work),
    ],
  ])('answers in time with the ids that it did not commit while %s', async (_name, fault) => {
    const { invoke } = createFunction({ databaseUrl: database.url });
    const batch = planted(1_000);
    const start = performance.now();

    const failed = await fault(database, async () => {
      const ids = await invoke(batch, { milliseconds: 3_000 });
      expect(performance.now() - start).toBeLessThan(3_000);
      return ids;
    });

    expect(failed).toHaveLength(1_000 - (await database.count()));
    await reconcile();
  });
});

describe('an invocation with no time left', () => {
  it('answers with all ids, and writes nothing', async () => {
    const { invoke } = createFunction({ databaseUrl: database.url });
    const batch = planted(10);

    const failed = await invoke(batch, { milliseconds: 0 });

    expect(failed).toEqual(idsOf(batch));
    expect(await database.count()).toBe(0);
    await reconcile();
  });
});

describe('a session whose function has gone', () => {
  it('keeps no redelivered event waiting longer than the invocation could have gone on', async () => {
    const proxy = await startProxy(database.url);
    const lost = await warmFunction({ databaseUrl: proxy.url });
    const next = createFunction({ databaseUrl: database.url });
    const [there, ...others] = planted(10);
    await next.invoke([there!]);
    // A row that is there makes COPY give way to INSERT, after which the session is idle in its transaction.
    const batch = [...others, there!];
    const commit = proxy.hold('RELEASE SAVEPOINT');

    const invocation = lost.invoke(batch, { milliseconds: 2_000 });
    await commit;
    proxy.behave('stall');
    expect(await invocation).toEqual(idsOf(batch));

    expect(await next.invoke(batch, { milliseconds: 20_000 })).toEqual([]);
    expect(next.reports).toMatchObject([{ stored: 1 }, { stored: 9, duplicates: 1 }]);
    await vi.waitFor(async () => expect(await busy()).toEqual([]));
    proxy.behave('pass');
    await reconcile();
    proxy.close();
  });

  it('in the middle of a COPY, where no timeout of the server counts, is asked whether it is there', async () => {
    const settings = await withClient(database.login, async (client) => {
      await client.query(beginStatement({ remaining: () => 10_000 }));
      return client.query(
        `SELECT name, setting FROM pg_settings WHERE name ~ '^(tcp_keepalives|statement_timeout|idle_in_tr)' ORDER BY 1`,
      );
    });

    expect(settings.rows.map(({ name, setting }) => `${name} ${setting}`)).toEqual([
      'idle_in_transaction_session_timeout 10000',
      'statement_timeout 5000',
      'tcp_keepalives_count 3',
      'tcp_keepalives_idle 30',
      'tcp_keepalives_interval 10',
    ]);
  });
});
