import { randomBytes } from 'node:crypto';
import type { SQSRecord } from 'aws-lambda';
import { describe, expect, it } from 'vitest';
import { useDatabase } from '../support/database.ts';
import { record } from '../support/records.ts';
import { useLedger } from './ledger.ts';
import { planted, plantedRecord, redelivered } from './planted.ts';
import { withTrigger } from './server-side.ts';

const database = useDatabase();
const { createFunction, reconcile } = useLedger(database);

type Fault = <T>(work: () => Promise<T>) => Promise<T>;

/** Changes the schema, and back. */
function changed(change: string, back: string): Fault {
  return async (work) => {
    await database.client.query(change);
    try {
      return await work();
    } finally {
      await database.client.query(back);
    }
  };
}

const WRONG_SCHEMA = 'the database does not fit this version: schema or privileges';
const AWAY = 'the database cannot be reached';

const FAULTS: readonly [name: string, fault: Fault, message: string][] = [
  [
    'the table is missing',
    changed('ALTER TABLE user_logins RENAME TO gone', 'ALTER TABLE gone RENAME TO user_logins'),
    `${WRONG_SCHEMA} (42P01)`,
  ],
  [
    'a column is missing',
    changed(
      'ALTER TABLE user_logins RENAME masked_ip TO gone',
      'ALTER TABLE user_logins RENAME gone TO masked_ip',
    ),
    `${WRONG_SCHEMA} (42703)`,
  ],
  ...(
    [
      ['text', '22021'],
      ['bigint', '08P01'],
    ] as const
  ).map(([type, code]): [string, Fault, string] => [
    `a column was made ${type}`,
    changed(
      `DROP VIEW IF EXISTS user_logins_current; ALTER TABLE user_logins ALTER app_version TYPE ${type}`,
      'ALTER TABLE user_logins ALTER app_version TYPE integer USING app_version::integer',
    ),
    `${WRONG_SCHEMA} (${code})`,
  ]),
  [
    'a partition is missing',
    changed(
      `ALTER TABLE user_logins RENAME TO whole;
       CREATE TABLE user_logins (LIKE whole) PARTITION BY RANGE (create_date)`,
      'DROP TABLE user_logins; ALTER TABLE whole RENAME TO user_logins',
    ),
    `${WRONG_SCHEMA} (23514)`,
  ],
  [
    'the disk is full',
    (work) =>
      withTrigger(
        database,
        { condition: 'true', action: `RAISE EXCEPTION 'x' USING ERRCODE = '53100'` },
        work,
      ),
    `${AWAY} (53100)`,
  ],
];

describe('a batch fails as a whole, and no record is blamed,', () => {
  it.each(FAULTS)('where %s', async (_name, fault, message) => {
    const { invoke, log, reports, failures } = createFunction({ databaseUrl: database.url });
    const malformed = record('{}');

    await fault(async () => {
      await expect(invoke([...planted(10), malformed])).rejects.toThrow(message);
    });

    expect(log.filter((line) => line.message === 'rejected')).toEqual([]);
    expect(reports).toEqual([]);
    expect(failures).toMatchObject([{ name: 'DatabaseFailure', message }]);
    expect(await database.count()).toBe(0);
    await reconcile([malformed]);
  });

  it('where the role may not insert', async () => {
    const role = `nobody_${randomBytes(4).toString('hex')}`;
    const url = Object.assign(new URL(database.url), { username: role, password: 'planted' }).href;
    await database.client.query(`CREATE ROLE ${role} LOGIN PASSWORD 'planted'`);
    const { invoke, log, reports } = createFunction({ databaseUrl: url });

    await expect(invoke(planted(10))).rejects.toThrow(`${WRONG_SCHEMA} (42501)`);
    expect(log.filter((line) => line.message === 'rejected')).toEqual([]);
    expect(reports).toEqual([]);

    await database.client.query(`GRANT ALL ON ALL TABLES IN SCHEMA public TO ${role}`);
    await reconcile();
  });

  const there = plantedRecord({});
  it.each<[string, (batch: SQSRecord[]) => SQSRecord[]]>([
    ['for the first time', (batch) => batch],
    ['again', redelivered],
    ['with one that is there', (batch) => [...batch, there]],
  ])(
    'where a trigger drops rows in silence, of which none is acknowledged when they come %s',
    async (_name, deliver) => {
      const { invoke } = createFunction({ databaseUrl: database.url });
      const batch = [...planted(5), plantedRecord({ user_id: 'CANARY-DROPPED' })];
      const dropped = { condition: `NEW.user_id = 'CANARY-DROPPED'`, action: 'RETURN NULL' };
      await invoke([there]);

      await withTrigger(database, dropped, async () => {
        await expect(invoke(deliver(batch))).rejects.toThrow('rows: a trigger drops some (copy)');
        await expect(invoke(redelivered(batch))).rejects.toThrow('rows: a trigger drops some (copy)');
      });

      await reconcile();
    },
  );
});
