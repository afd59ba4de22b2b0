import type { SQSRecord } from 'aws-lambda';
import { describe, expect, it } from 'vitest';
import { useDatabase } from '../support/database.ts';
import { type FunctionUnderTest, useFunctions } from '../support/function.ts';
import { END_OF_ROWS, startProxy } from '../support/proxy.ts';
import { loginEvent, record, records } from '../support/records.ts';
import { useVault } from '../support/vault.ts';
import { expectNothingPlanted, idsOf, planted, plantedRecord, redelivered } from './planted.ts';
import { terminate, waitForLockWait, whileLocked, withSession, withTrigger } from './server-side.ts';

const database = useDatabase();
const createFunction = useFunctions();
const { sealing, counts, expectValuesOf } = useVault(database);
const open = (url = database.url): FunctionUnderTest => createFunction({ databaseUrl: url, ...sealing });

const REFUSED = 'CANARY-REFUSED';
const refused = (values = {}) => plantedRecord({ user_id: REFUSED, ip: '2001:db8:ca7a:ffff::', ...values });

/** Neither whom it is about nor what: only ids, codes and numbers. */
function expectNothingSaid({ log }: FunctionUnderTest): void {
  expectNothingPlanted(JSON.stringify(log));
}

async function whileVaultIsLocked<T>(work: (unlock: () => Promise<void>) => Promise<T>): Promise<T> {
  return withSession(database, async (session) => {
    await session.query('BEGIN; LOCK TABLE user_logins_vault IN ACCESS EXCLUSIVE MODE');
    return work(async () => {
      await session.query('ROLLBACK');
    });
  });
}

describe('a row that the table refuses', () => {
  const raise = { condition: `NEW.user_id = '${REFUSED}'`, action: `RAISE EXCEPTION 'bad %', NEW` };

  it.each([
    ['before it is stored', { ...raise, when: 'BEFORE' as const }],
    ['after it is stored', { ...raise, when: 'AFTER' as const }],
  ])('%s leaves nothing in the vault, but for values that other rows have', async (_name, trigger) => {
    const created = open();
    // Its address first of all, in the first chunk; one that is stored has the same in the last.
    const shared = { ip: '2001:db8:ca7a:eeee::' };
    const bad = [refused(shared), refused({ device_id: 'CANARY-ALONE' })];
    const good = [...planted(500), plantedRecord(shared)];

    const failed = await withTrigger(database, trigger, () =>
      created.invoke([bad[0]!, ...good.slice(0, 300), bad[1]!, ...good.slice(300)]),
    );

    expect(failed.toSorted()).toEqual(idsOf(bad).toSorted());
    await expectValuesOf(good);
    expectNothingSaid(created);
  });

  it('leaves nothing where rows of the batch were there already', async () => {
    const created = open();
    const known = planted(3);
    await created.invoke(known);
    const bad = refused();
    const good = planted(200);

    const failed = await withTrigger(database, raise, () => created.invoke([...known, bad, ...good]));

    expect(failed).toEqual([bad.messageId]);
    await expectValuesOf([...known, ...good]);
    expectNothingSaid(created);
  });

  it('when the transaction ends leaves nothing', async () => {
    await database.client.query(`
      CREATE FUNCTION refuse_deferred() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NEW.user_id = '${REFUSED}' THEN RAISE foreign_key_violation; END IF;
        RETURN NULL;
      END $$;
      CREATE CONSTRAINT TRIGGER deferred AFTER INSERT ON user_logins DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION refuse_deferred()`);
    try {
      const bad = refused();
      const good = planted(300);

      expect(await open().invoke([...good, bad])).toEqual([bad.messageId]);

      await expectValuesOf(good);
    } finally {
      await database.client.query('DROP FUNCTION refuse_deferred CASCADE');
    }
  });
});

describe('two invocations at once', () => {
  it('with the same new values in opposite orders store every row, and no deadlock escapes', async () => {
    const functions = [open(), open()];
    for (const { invoke } of functions) await invoke([]);
    const values = (): SQSRecord[] => records(2_000);
    const batches = [values(), values().toReversed()];

    const failed = await Promise.all(functions.map(({ invoke }, i) => invoke(batches[i]!)));

    expect(failed).toEqual([[], []]);
    expect(functions.flatMap(({ log }) => log.filter(({ code }) => code === '40P01'))).toEqual([]);
    await expectValuesOf(batches.flat());
  });

  it('with the same events and values store each once', async () => {
    const functions = [open(), open()];
    const batch = records(1_000);

    const failed = await Promise.all(functions.map(({ invoke }) => invoke(batch)));

    expect(failed).toEqual([[], []]);
    await expectValuesOf(batch);
  });

  it('of which the first is taken back leave the values of the second', async () => {
    const [first, second] = [record(loginEvent()), record(loginEvent())];
    const other = open();

    // Waits for what another has put in and not committed.
    const failed = await withSession(database, async (session) => {
      const [token] = await tokensOf(first);
      await session.query(
        `BEGIN; INSERT INTO user_logins_vault VALUES ('${token}', 'ip', gen_random_uuid(), '')`,
      );
      const invocation = other.invoke([second]);
      await waitForLockWait(database);
      await session.query('ROLLBACK');
      return invocation;
    });

    expect(failed).toEqual([]);
    await expectValuesOf([second]);
  });

  /** Of a record's values, without leaving anything behind. */
  async function tokensOf(message: SQSRecord): Promise<string[]> {
    await open().invoke([message]);
    const rows = await database.rows<{ token: string }>('SELECT token FROM user_logins_vault');
    await database.client.query('TRUNCATE user_logins, user_logins_vault, user_logins_vault_keys');
    return rows.map(({ token }) => token);
  }
});

describe('a connection that is lost', () => {
  it('during COMMIT leaves every row with its values, once', async () => {
    const proxy = await startProxy(database.url);
    const created = open(proxy.url);
    await created.invoke([]);
    const commit = proxy.hold('COMMIT');
    const batch = planted(500);

    const invocation = created.invoke(batch);
    await (await commit).loseAnswer();

    expect(await invocation).toEqual([]);
    expect(created.reports.at(-1)).toMatchObject({ stored: 0, duplicates: 500 });
    await expectValuesOf(batch);
    expectNothingSaid(created);
    proxy.close();
  });

  it('before the values leaves nothing of the attempt, and the next one brings all', async () => {
    const proxy = await startProxy(database.url);
    const created = open(proxy.url);
    const warm = planted(1);
    await created.invoke(warm);
    const end = proxy.hold(END_OF_ROWS);
    // Of a value that was known to be in the vault when the batch began.
    const batch = [...planted(300), plantedRecord({ ip: JSON.parse(warm[0]!.body).ip })];

    const invocation = created.invoke(batch);
    await end;
    // Meanwhile it is no longer, as after a failover to a server that lacks the last transactions.
    await database.client.query('TRUNCATE user_logins_vault, user_logins');
    proxy.cut();

    expect(await invocation).toEqual([]);
    await expectValuesOf(batch);
    proxy.close();
  });

  it('while the values are put in is replaced within the invocation', async () => {
    const created = open();
    const batch = planted(300);

    const failed = await whileVaultIsLocked(async (unlock) => {
      const invocation = created.invoke(batch);
      await terminate(database, await waitForLockWait(database));
      await unlock();
      return invocation;
    });

    expect(failed).toEqual([]);
    await expectValuesOf(batch);
  });
});

describe('a database that is slow', () => {
  it('because the vault is locked gets every id back in time, and stores nothing', async () => {
    const created = open();
    const batch = planted(10);
    const start = performance.now();

    const failed = await whileVaultIsLocked(() => created.invoke(batch, { milliseconds: 6_000 }));

    expect(performance.now() - start).toBeLessThan(6_000);
    expect(failed.toSorted()).toEqual(idsOf(batch).toSorted());
    await expectValuesOf([]);
  });

  it('stores in halves what it can, each with its values', async () => {
    const created = open();
    const batch = planted(10);

    const failed = await whileLocked(database, async (unlock) => {
      const invocation = created.invoke(batch, { milliseconds: 8_000 });
      const seen = await waitForLockWait(database);
      // The whole batch has been given up, and its first half waits.
      await waitForLockWait(database, [seen]);
      await unlock();
      return invocation;
    });

    const stored = batch.filter(({ messageId }) => !failed.includes(messageId));
    expect(stored.length).toBeGreaterThan(0);
    await expectValuesOf(stored);
    expect(await created.invoke(redelivered(batch))).toEqual([]);
    await expectValuesOf(batch);
  });
});

describe('a vault that cannot take the values', () => {
  it.each([
    [
      'is not there',
      'ALTER TABLE user_logins_vault RENAME TO away',
      'ALTER TABLE away RENAME TO user_logins_vault',
      '42P01',
    ],
    [
      'refuses them',
      `ALTER TABLE user_logins_vault ADD CONSTRAINT none CHECK (false) NOT VALID`,
      'ALTER TABLE user_logins_vault DROP CONSTRAINT none',
      '23514',
    ],
  ])(
    'because it %s fails the batch: no row is stored, nothing is acknowledged',
    async (_name, breaks, mends, code) => {
      const created = open();
      const batch = planted(200);
      await database.client.query(breaks);
      try {
        await expect(created.invoke(batch)).rejects.toThrow(`(${code})`);
        expect(await database.count()).toBe(0);
      } finally {
        await database.client.query(mends);
      }

      expect(await created.invoke(redelivered(batch))).toEqual([]);
      await expectValuesOf(batch);
      expectNothingSaid(created);
      expect(await counts()).toMatchObject({ contentKeys: 1 });
    },
  );
});
