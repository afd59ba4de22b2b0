import { beforeEach, expect, vi } from 'vitest';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { dayOf } from '../../lambda/postgres/partitions/days.ts';
import { makePartitions } from '../../lambda/postgres/partitions/partitions.ts';
import { migrate } from '../../lambda/postgres/schema/schema.ts';
import { type TestDatabase, useDatabase } from './database.ts';
import { type FunctionUnderTest, useFunctions } from './function.ts';
import { KEYSETS, Truth, tokensByKey } from './rekey.ts';

/** Where nobody looks how far something is. */
export const SILENT = { begin() {}, advance() {}, note() {}, end() {} };

/** Today, as partitions have it. */
export const TODAY = dayOf(Date.now());

/** A table to be rekeyed, made anew for each test, and what is known of its rows. */
export interface RekeyTable {
  readonly database: TestDatabase;
  /** Of the test that runs. */
  readonly truth: Truth;
  make(kind: 'plain' | 'partitioned'): Promise<void>;
  /** A function with the keyset in which that key is primary. */
  writer(key: keyof typeof KEYSETS, masking?: 'recoverable' | 'irreversible'): FunctionUnderTest;
  /** Resolves when a rekey that was started has rewritten its first rows. */
  untilRewritten(): Promise<void>;
}

export function useRekeyTable(): RekeyTable {
  const database = useDatabase({ empty: true });
  const createFunction = useFunctions();
  let truth = new Truth();
  beforeEach(() => {
    truth = new Truth();
  });
  return {
    database,
    get truth() {
      return truth;
    },
    async make(kind) {
      const { client } = database;
      await client.query('DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public');
      await migrate(client, loginEvents, kind === 'partitioned' ? { partitions: { today: TODAY } } : {});
      if (kind === 'plain') return;
      await makePartitions(client, loginEvents, { today: TODAY, ahead: 2 }, () => {});
    },
    writer(key, masking = 'recoverable') {
      const keysetSource = () => Promise.resolve(KEYSETS[key]);
      return createFunction({ databaseUrl: database.url, masking, keysetSource });
    },
    untilRewritten: () =>
      vi.waitFor(async () => expect(await tokensByKey(database)).toHaveProperty('s1~k2'), {
        timeout: 20_000,
        interval: 5,
      }),
  };
}
