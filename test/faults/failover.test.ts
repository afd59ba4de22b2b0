import { describe, expect, it } from 'vitest';
import { useDatabase } from '../support/database.ts';
import { startProxy } from '../support/proxy.ts';
import { useLedger } from './ledger.ts';
import { planted } from './planted.ts';

const database = useDatabase();
const { createFunction, reconcile } = useLedger(database);

/** What sessions that begin from now on may do. A session keeps it until its end. */
async function makeReader(isReader: boolean): Promise<void> {
  const change = isReader ? 'SET default_transaction_read_only = on' : 'RESET default_transaction_read_only';
  await database.client.query(
    `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I ${change}', current_database()); END $$`,
  );
}

describe('a pooled connection that a failover has left on a reader', () => {
  it('is evicted, and the batch is stored over a new one within the invocation', async () => {
    const proxy = await startProxy(database.url);
    const { invoke, reports, log } = createFunction({ databaseUrl: proxy.url });
    const begin = proxy.hold('BEGIN');
    await makeReader(true);

    const invocation = invoke(planted(10));
    const held = await begin;
    await makeReader(false);
    held.pass();

    expect(await invocation).toEqual([]);
    expect(log).toMatchObject([
      { level: 'warn', message: 'write failed', code: '25006', attempt: 1 },
      { level: 'info', message: 'batch' },
    ]);
    expect(reports).toMatchObject([{ stored: 10 }]);
    await reconcile();
    proxy.close();
  });

  it('fails the batch while there is only a reader, and is mended in the next invocation', async () => {
    const { invoke, reports } = createFunction({ databaseUrl: database.url });
    await makeReader(true);
    await expect(invoke(planted(3), { milliseconds: 20_000 })).rejects.toThrow('(25006)');
    await makeReader(false);

    expect(await invoke(planted(3))).toEqual([]);

    expect(reports).toMatchObject([{ stored: 3 }]);
    await reconcile();
  });
});
