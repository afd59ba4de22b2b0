import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Proxy as DatabaseProxy, END_OF_ROWS, startProxy } from '../support/proxy.ts';
import { useLedger } from './ledger.ts';
import { useOwnServer } from './own-server.ts';
import { planted, plantedRecord, redelivered } from './planted.ts';
import { waitForLockWait, whileStoppedAt } from './server-side.ts';

const database = useOwnServer();
const { warmFunction, reconcile } = useLedger(database);

let proxy: DatabaseProxy;
beforeAll(async () => {
  proxy = await startProxy(database.server.url);
});
afterAll(() => proxy.close());

async function recover(): Promise<void> {
  await database.server.restart();
  proxy.lead(database.server.url);
}

const MIDDLE = 'CANARY-MIDDLE';
const batchWithMiddle = () => [...planted(500), plantedRecord({ user_id: MIDDLE }), ...planted(500)];

describe('a server that is killed loses nothing and doubles nothing', () => {
  it('in the middle of a batch, which is delivered again after the recovery', async () => {
    const { invoke, reports } = await warmFunction({ databaseUrl: proxy.url });
    const batch = batchWithMiddle();

    await whileStoppedAt(database, MIDDLE, async () => {
      const failure = expect(invoke(batch)).rejects.toThrow('the database cannot be reached');
      await waitForLockWait(database);
      await database.server.crash();
      await failure;
      await recover();
    });

    expect(await invoke(redelivered(batch))).toEqual([]);
    expect(reports.at(-1)).toMatchObject({ stored: 1_001, duplicates: 0 });
    await reconcile();
  });

  it('in the middle of a batch, which outlives it', async () => {
    const { invoke, reports } = await warmFunction({ databaseUrl: proxy.url });

    await whileStoppedAt(database, MIDDLE, async () => {
      const invocation = invoke(batchWithMiddle());
      await waitForLockWait(database);
      proxy.behave('stall');
      await database.server.crash();
      await recover();
      proxy.behave('pass');
      expect(await invocation).toEqual([]);
    });

    expect(reports.at(-1)).toMatchObject({ stored: 1_001, duplicates: 0 });
    await reconcile();
  });

  it('after it committed, and before anybody heard of it', async () => {
    const { invoke, reports } = await warmFunction({ databaseUrl: proxy.url });
    const batch = planted(1_000);
    const commit = proxy.hold(END_OF_ROWS);

    const failure = expect(invoke(batch)).rejects.toThrow('the database cannot be reached');
    const held = await commit;
    proxy.behave('refuse');
    await held.loseAnswer();
    await database.server.crash();
    await failure;
    await recover();
    proxy.behave('pass');

    expect(await invoke(redelivered(batch))).toEqual([]);
    expect(reports.at(-1)).toMatchObject({ stored: 0, duplicates: 1_000 });
    await reconcile();
  });
});
