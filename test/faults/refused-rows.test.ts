import type { SQSRecord } from 'aws-lambda';
import { Client } from 'pg';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { useDatabase } from '../support/database.ts';
import { tell } from './figures.ts';
import { useLedger } from './ledger.ts';
import { idsOf, planted, plantedRecord } from './planted.ts';
import { withTrigger } from './server-side.ts';

const database = useDatabase();
const { createFunction, reconcile } = useLedger(database);

const REFUSED = 'CANARY-REFUSED';
const refusedRecord = () => plantedRecord({ user_id: REFUSED });

type Fault = <T>(work: () => Promise<T>) => Promise<T>;

const withCheck: Fault = async (work) => {
  await database.client.query(
    `ALTER TABLE user_logins ADD CONSTRAINT refuse CHECK (user_id <> '${REFUSED}') NOT VALID`,
  );
  try {
    return await work();
  } finally {
    await database.client.query('ALTER TABLE user_logins DROP CONSTRAINT refuse');
  }
};

/** As people write it: without a code of its own, and quoting the row. */
const withRaise: Fault = (work) =>
  withTrigger(
    database,
    {
      condition: `NEW.user_id = '${REFUSED}'`,
      action: `RAISE EXCEPTION 'bad %', NEW USING DETAIL = NEW::text`,
    },
    work,
  );

const FAULTS: readonly [name: string, fault: Fault, field: string, code: string][] = [
  ['a check', withCheck, 'refuse', '23514'],
  ['a trigger', withRaise, 'row', 'P0001'],
];

const PLACES: readonly [name: string, isRefused: (i: number) => boolean][] = [
  ['first', (i) => i === 0],
  ['in the middle', (i) => i === 500],
  ['last', (i) => i === 999],
  ['1 %', (i) => i % 100 === 0],
  ['50 %', (i) => i % 2 === 0],
  ['100 %', () => true],
];

afterEach(() => {
  vi.restoreAllMocks();
});

/** Round trips that a batch may take: three for each refused row, beside those for its chunks. */
function bound(refused: number): number {
  return 12 + 3 * refused;
}

describe.each(FAULTS)('a row that only %s refuses', (name, fault, field, code) => {
  it.each(PLACES)('is the only one that fails: %s of 1,000', async (place, isRefused) => {
    const { invoke, reports } = createFunction({ databaseUrl: database.url });
    await invoke(planted(1));
    const batch = planted(1_000).map((message, i) => (isRefused(i) ? refusedRecord() : message));
    const bad = batch.filter((_, i) => isRefused(i));

    await fault(async () => {
      const queries = vi.spyOn(Client.prototype, 'query');
      const failed = await invoke(batch);
      const roundTrips = queries.mock.calls.length;

      tell(`${name} refuses ${place} of 1,000: ${bad.length} found in ${roundTrips} round trips`);
      expect(new Set(failed)).toEqual(new Set(idsOf(bad)));
      expect(roundTrips).toBeLessThanOrEqual(bound(bad.length));
      await reconcile(bad);
    });

    const refusal = { field, code };
    expect(reports[1]?.rejected.toSorted(byId)).toEqual(
      bad.map(({ messageId }) => ({ messageId, ...refusal })).toSorted(byId),
    );
  });
});

function byId(a: { messageId: string }, b: { messageId: string }): number {
  return a.messageId < b.messageId ? -1 : 1;
}

describe('a row that the database refuses', () => {
  it('does not make duplicates of the repeats of its event: they come again', async () => {
    const { invoke, reports } = createFunction({ databaseUrl: database.url });
    const attributes = { EventId: 'one-event' };
    const bad = [1, 2, 3].map(() => plantedRecord({ user_id: REFUSED }, { attributes }));

    await withCheck(async () => {
      const failed = await invoke([...bad, ...planted(5)]);

      expect(new Set(failed)).toEqual(new Set(idsOf(bad)));
      expect(reports).toMatchObject([{ received: 8, stored: 5, duplicates: 0 }]);
      expect([reports[0]?.rejected.length, reports[0]?.retried.length]).toEqual([1, 2]);
      await reconcile(bad);
    });
  });

  it('is told from one that is there already', async () => {
    const { invoke, reports } = createFunction({ databaseUrl: database.url });
    const batch: SQSRecord[] = planted(100);
    const bad = refusedRecord();

    await withCheck(async () => {
      await invoke(batch.slice(0, 50));
      const failed = await invoke([...batch, bad]);

      expect(failed).toEqual(idsOf([bad]));
      expect(reports[1]).toMatchObject({ received: 101, stored: 50, duplicates: 50 });
      await reconcile([bad]);
    });
  });
});
