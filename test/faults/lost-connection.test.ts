import type { SQSRecord } from 'aws-lambda';
import { describe, expect, it } from 'vitest';
import { useDatabase } from '../support/database.ts';
import { startEntryPoint } from '../support/lambda-process.ts';
import { END_OF_ROWS, startProxy } from '../support/proxy.ts';
import { KEYSET_JSON } from '../support/records.ts';
import { useLedger } from './ledger.ts';
import { expectNothingPlanted, planted, plantedRecord, redelivered } from './planted.ts';
import { terminate, waitForLockWait, whileLocked, whileStoppedAt, withSession } from './server-side.ts';

const database = useDatabase();
const { createFunction, warmFunction, reconcile } = useLedger(database);

/** With a row in the middle at which the server can be stopped. */
const MIDDLE = 'CANARY-MIDDLE';
function batchWithMiddle(): SQSRecord[] {
  return [...planted(300), plantedRecord({ user_id: MIDDLE }), ...planted(300)];
}

describe('a connection that the server ends', () => {
  it('while it is idle is replaced in the next invocation, and the process lives', async () => {
    const { invoke, end } = startEntryPoint(
      'handler',
      { DATABASE_URL: database.url, MASKING_KEYSET: KEYSET_JSON },
      30_000,
    );
    const none = { response: { batchItemFailures: [] } };

    expect(await invoke({ Records: planted(10) })).toEqual(none);
    await terminate(database);
    expect(await invoke({ Records: planted(10) })).toEqual(none);

    const { exitCode, output } = await end();
    expect(exitCode).toBe(0);
    expect(output).toContain('idle connection lost');
    expectNothingPlanted(output);
    expect(await database.count()).toBe(20);
  });

  it('between BEGIN and the first row is replaced within the invocation', async () => {
    const { invoke, reports, log } = createFunction({ databaseUrl: database.url });

    const failed = await whileLocked(database, async (unlock) => {
      const invocation = invoke(planted(10));
      await terminate(database, await waitForLockWait(database));
      await unlock();
      return invocation;
    });

    expect(failed).toEqual([]);
    expect(log.map(({ code }) => code)).toContain('57P01');
    expect(reports).toMatchObject([{ stored: 10 }]);
    await reconcile();
  });

  it('in the middle of a COPY is replaced within the invocation', async () => {
    const { invoke, reports, log } = createFunction({ databaseUrl: database.url });

    const failed = await whileStoppedAt(database, MIDDLE, async (goOn) => {
      const invocation = invoke(batchWithMiddle());
      await terminate(database, await waitForLockWait(database));
      await goOn();
      return invocation;
    });

    expect(failed).toEqual([]);
    // Whoever is still sending rows may meet the closed socket before the reason.
    expect(log[0]).toMatchObject({ message: 'write failed', attempt: 1 });
    expect(log[0]?.code).toMatch(/^(57P01|EPIPE|ECONNRESET|connection_lost)$/);
    expect(reports).toMatchObject([{ stored: 601, duplicates: 0 }]);
    await reconcile();
  });

  it('before COMMIT is replaced within the invocation', async () => {
    const proxy = await startProxy(database.url);
    const { invoke, reports } = await warmFunction({ databaseUrl: proxy.url });
    const beforeCommit = proxy.hold(END_OF_ROWS);

    const invocation = invoke(planted(10));
    await beforeCommit;
    await terminate(database);

    expect(await invocation).toEqual([]);
    expect(reports).toMatchObject([{ stored: 10, duplicates: 0 }]);
    await reconcile();
    proxy.close();
  });

  it.each([
    ['the other half is stored', 1, { stored: 5, unreachable: undefined }],
    ['all of it comes again where the other half is lost too', 2, { stored: 0, unreachable: '57P01' }],
  ])('with half of a batch that was slow: %s', async (_name, losses, expected) => {
    const { invoke, reports } = createFunction({ databaseUrl: database.url });

    const failed = await whileLocked(database, async (unlock) => {
      const invocation = invoke(planted(10), { milliseconds: 8_000 });
      const seen = [await waitForLockWait(database)];
      for (let loss = 0; loss < losses; loss++) {
        const pid = await waitForLockWait(database, seen);
        seen.push(pid);
        await terminate(database, pid);
      }
      await unlock();
      return invocation;
    });

    expect(failed).toHaveLength(10 - expected.stored);
    expect(reports).toMatchObject([expected]);
    await reconcile();
  });
});

describe('a connection that is cut after COMMIT was sent and before the answer', () => {
  it('has committed, which the same invocation finds out', async () => {
    const proxy = await startProxy(database.url);
    const { invoke, reports } = await warmFunction({ databaseUrl: proxy.url });
    const commit = proxy.hold(END_OF_ROWS);

    const invocation = invoke(planted(10));
    await (await commit).loseAnswer();

    expect(await invocation).toEqual([]);
    expect(reports).toMatchObject([{ stored: 0, duplicates: 10 }]);
    expect(await database.count()).toBe(11);
    await reconcile();
    proxy.close();
  });

  it('makes one row of each event when they are redelivered', async () => {
    const proxy = await startProxy(database.url);
    const { invoke, reports } = await warmFunction({ databaseUrl: proxy.url });
    const batch = planted(10);
    const commit = proxy.hold(END_OF_ROWS);

    const invocation = invoke(batch);
    const held = await commit;
    proxy.behave('refuse');
    await Promise.all([held.loseAnswer(), expect(invocation).rejects.toThrow('(ECONNRESET)')]);
    proxy.behave('pass');

    expect(await invoke(redelivered(batch))).toEqual([]);
    expect(reports).toMatchObject([{ stored: 0, duplicates: 10 }]);
    await reconcile();
    proxy.close();
  });
});

describe('a COPY that is refused', () => {
  it('while its rows are still on their way does not end the process', async () => {
    const { invoke, reports } = createFunction({ databaseUrl: database.url });
    const long = '😀'.repeat(32);
    // More than the buffers of the sockets take.
    const wide = { user_id: long.repeat(4), device_type: long, locale: long, device_id: 'y'.repeat(150) };
    const batch = Array.from({ length: 10_000 }, () => plantedRecord(wide));
    const [there] = batch.slice(100);

    const failed = await withSession(database, async (session) => {
      await session.query('BEGIN');
      await session.query(`INSERT INTO user_logins (create_date, event_id) VALUES ('2023-11-14', $1)`, [
        there!.messageId,
      ]);
      const invocation = invoke(batch);
      await waitForLockWait(database);
      await session.query('COMMIT');
      return invocation;
    });

    expect(failed).toEqual([]);
    expect(reports).toMatchObject([{ stored: 9_999, duplicates: 1 }]);
  });
});
