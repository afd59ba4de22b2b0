import type { SQSRecord } from 'aws-lambda';
import { afterEach, describe, expect, it } from 'vitest';
import { withClient } from '../../lambda/postgres/connection.ts';
import { useDatabase } from '../support/database.ts';
import { useFunctions } from '../support/function.ts';
import { loginEvent, record, records } from '../support/records.ts';

const database = useDatabase();
const createFunction = useFunctions();

const REFUSED = 'refused';
const refusedRecord = () => record(loginEvent({ user_id: REFUSED }));

async function storedIds(): Promise<Set<string>> {
  const rows = await database.rows<{ event_id: string }>('SELECT event_id FROM user_logins');
  return new Set(rows.map(({ event_id }) => event_id));
}

function idsOf(batch: readonly SQSRecord[]): string[] {
  return batch.map(({ messageId }) => messageId);
}

describe('a row that only the database refuses', () => {
  afterEach(async () => {
    await database.client.query('ALTER TABLE user_logins DROP CONSTRAINT IF EXISTS refuse');
  });
  const refuse = () =>
    database.client.query(`ALTER TABLE user_logins ADD CONSTRAINT refuse CHECK (user_id <> '${REFUSED}')`);

  it.each([
    ['first', (i: number) => i === 0],
    ['in the middle', (i: number) => i === 500],
    ['last', (i: number) => i === 999],
    ['every hundredth', (i: number) => i % 100 === 0],
    ['every other', (i: number) => i % 2 === 0],
    ['every one', () => true],
  ])('is the only one that fails: %s of 1,000', async (_name, isRefused) => {
    await refuse();
    const { invoke, reports } = createFunction({ databaseUrl: database.url });
    const batch = records(1_000).map((message, i) => (isRefused(i) ? refusedRecord() : message));
    const bad = batch.filter((_, i) => isRefused(i));

    const failed = await invoke(batch);

    expect(new Set(failed)).toEqual(new Set(idsOf(bad)));
    expect(await storedIds()).toEqual(new Set(idsOf(batch.filter((message) => !bad.includes(message)))));
    expect(reports[0]?.rejected.every(({ field, code }) => field === 'refuse' && code === '23514')).toBe(
      true,
    );
  });

  it('does not make duplicates of the repeats of its event: they come again', async () => {
    await refuse();
    const { invoke, reports } = createFunction({ databaseUrl: database.url });
    const attributes = { EventId: 'one-event' };
    const bad = [1, 2, 3].map(() => record(loginEvent({ user_id: REFUSED }), { attributes }));

    const failed = await invoke([...bad, ...records(5)]);

    expect(new Set(failed)).toEqual(new Set(idsOf(bad)));
    expect(reports[0]).toMatchObject({ received: 8, stored: 5, duplicates: 0 });
    expect(reports[0]?.rejected).toHaveLength(1);
    expect(reports[0]?.retried).toHaveLength(2);
  });

  it('is told from one that is there already', async () => {
    await refuse();
    const { invoke, reports } = createFunction({ databaseUrl: database.url });
    const batch = records(100);
    await invoke(batch.slice(0, 50));

    const failed = await invoke([...batch, refusedRecord()]);

    expect(failed).toHaveLength(1);
    expect(reports[1]).toMatchObject({ received: 101, stored: 50, duplicates: 50 });
  });
});

describe('an invocation whose time runs out', () => {
  it('answers with the ids that it did not commit while the table is locked', async () => {
    const { invoke, reports } = createFunction({ databaseUrl: database.url });
    const batch = records(10);

    const failed = await withClient(database.login, async (client) => {
      await client.query('BEGIN; LOCK TABLE user_logins IN ACCESS EXCLUSIVE MODE');
      return invoke(batch, { milliseconds: 6_000 });
    });

    expect(new Set(failed)).toEqual(new Set(idsOf(batch)));
    // The database is there, it is only busy.
    expect(reports).toMatchObject([{ unreachable: undefined, lag: undefined }]);
    expect(await database.count()).toBe(0);
    const waiting = `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
    expect(await database.rows(waiting)).toEqual([]);
  });

  it('answers with all ids when there is none left', async () => {
    const { invoke } = createFunction({ databaseUrl: database.url });
    const batch = records(10);

    const failed = await invoke(batch, { milliseconds: 0 });

    expect(failed).toEqual(idsOf(batch));
    expect(await database.count()).toBe(0);
  });
});

describe('eight invocations at once with overlapping batches', () => {
  it('store each event once', async () => {
    const batch = records(2_000);
    const functions = Array.from({ length: 8 }, () => createFunction({ databaseUrl: database.url }));

    const failed = await Promise.all(
      functions.map(({ invoke }, i) => {
        const overlapping = batch.slice(i * 200, i * 200 + 600);
        return invoke(i % 2 === 0 ? overlapping : overlapping.toReversed());
      }),
    );

    const retried = new Set(failed.flat());
    expect(functions.flatMap(({ reports }) => reports).flatMap(({ rejected }) => rejected)).toEqual([]);
    const [first] = functions;
    await first?.invoke(batch.filter(({ messageId }) => retried.has(messageId)));
    expect(await storedIds()).toEqual(new Set(idsOf(batch)));
  });
});
