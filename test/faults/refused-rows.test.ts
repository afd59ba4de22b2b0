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

/** Of a trigger after the row PostgreSQL does not say which row it was, whatever the trigger says. */
const withRaiseAfter: Fault = (work) =>
  withTrigger(
    database,
    {
      when: 'AFTER',
      condition: `NEW.user_id = '${REFUSED}'`,
      action: `RAISE EXCEPTION 'COPY user_logins, line 1' USING DETAIL = NEW::text`,
    },
    work,
  );

/** Is looked at when the transaction ends, where nobody says otherwise. */
const withDeferred: Fault = async (work) => {
  await database.client.query(`
    CREATE FUNCTION refuse_deferred() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF NEW.user_id = '${REFUSED}' THEN RAISE foreign_key_violation; END IF;
      RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER deferred AFTER INSERT ON user_logins DEFERRABLE INITIALLY DEFERRED
      FOR EACH ROW EXECUTE FUNCTION refuse_deferred()`);
  try {
    return await work();
  } finally {
    await database.client.query('DROP FUNCTION refuse_deferred CASCADE');
  }
};

/** Whether PostgreSQL says which row it was. */
const FAULTS: readonly [name: string, fault: Fault, field: string, code: string, isNamed: boolean][] = [
  ['a check', withCheck, 'refuse', '23514', true],
  ['a trigger', withRaise, 'row', 'P0001', true],
  ['a trigger after the row', withRaiseAfter, 'row', 'P0001', false],
  ['a deferred constraint', withDeferred, 'row', '23503', false],
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

/** Round trips that a batch may take: a few for each refused row, and where nobody says which it is, for each halving. */
function bound(rows: number, refused: number, isNamed: boolean): number {
  return 12 + (isNamed ? 3 * refused : Math.min(2 * refused * Math.log2(rows), 3 * rows));
}

describe.each(FAULTS)('a row that only %s refuses', (name, fault, field, code, isNamed) => {
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
      expect(roundTrips).toBeLessThanOrEqual(bound(1_000, bad.length, isNamed));
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
