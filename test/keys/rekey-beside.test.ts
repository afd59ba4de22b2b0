import type { SQSRecord } from 'aws-lambda';
import pg from 'pg';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { loginEvents, loginEventsWith } from '../../lambda/events/login-event.ts';
import { withClient } from '../../lambda/postgres/connection.ts';
import { keepPartitions } from '../../lambda/postgres/partitions/partitions.ts';
import { fillAliases } from '../../lambda/postgres/rekey/aliases.ts';
import { takeCensus } from '../../lambda/postgres/rekey/census.ts';
import { transact } from '../../lambda/postgres/rekey/transact.ts';
import { migrate } from '../../lambda/postgres/schema/schema.ts';
import { useCli } from '../support/cli.ts';
import { useFunctions } from '../support/function.ts';
import { A_DAY } from '../support/partitions.ts';
import { KEYSET_TEXTS, KEYSETS, rekeyArguments } from '../support/rekey.ts';
import { around, runRekey } from '../support/rekey-run.ts';
import { SILENT, TODAY, useRekeyTable } from '../support/rekey-table.ts';

const table = useRekeyTable();
const { database } = table;
const createCli = useCli();
const createFunction = useFunctions();

/** Resolves when a session waits for a lock. @param milliseconds for so long already */
async function untilWaiting(milliseconds = 0): Promise<void> {
  await vi.waitFor(
    async () =>
      expect(
        await database.rows(
          `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
             AND clock_timestamp() - query_start > make_interval(secs => $1 / 1000.0)`,
          [milliseconds],
        ),
      ).toHaveLength(1),
    { timeout: 10_000, interval: 10 },
  );
}

/** The same records, as if they had waited in the default partition for one of their own. */
function sentDaysAgo(records: readonly SQSRecord[]): SQSRecord[] {
  const SentTimestamp = String(Date.now() - 3 * A_DAY);
  return records.map((record) => ({ ...record, attributes: { ...record.attributes, SentTimestamp } }));
}

const KEEP = { today: TODAY, ahead: 2, retentionDays: 30 };

describe('a rekey beside retention', () => {
  it('counts rows that retention is moving into a partition of their own', async () => {
    await table.make('partitioned');
    await table.writer('k1').invoke(sentDaysAgo(table.truth.records(100)));
    await table.writer('k1').invoke(table.truth.records(50));
    const retention = new pg.Client(database.url);
    await retention.connect();
    let census: Promise<void> | undefined;
    around(retention, /ATTACH PARTITION/, async (statement) => {
      const result = await statement();
      census ??= withClient(database.login, (client) =>
        transact(client, () => takeCensus(client, loginEvents, 'before')),
      );
      await untilWaiting();
      return result;
    });

    await keepPartitions(retention, loginEvents, KEEP, () => {});
    await retention.end();
    await census;

    expect(
      await database.rows(
        'SELECT kind, sum(rows)::int AS rows FROM user_logins_rekey_groups GROUP BY kind ORDER BY kind',
      ),
    ).toEqual(['create_date', 'masked_device_id', 'masked_ip'].map((kind) => ({ kind, rows: 150 })));
  });
});

it('a promotion gives aliases to rows that have moved since it looked which partitions there are', async () => {
  await table.make('partitioned');
  await table.writer('k1').invoke(sentDaysAgo(table.truth.records(100)));
  await withClient(database.login, async (client) => {
    let looks = 0;
    around(client, /pg_partition_tree/, async (statement) => {
      const result = await statement();
      if (++looks === 2) await keepPartitions(database.client, loginEvents, KEEP, () => {});
      return result;
    });
    await fillAliases(client, loginEvents, KEYSETS.k2, { from: 'k1', to: 'k2' }, SILENT);
  });

  await table.writer('k2').invoke(table.truth.records(100));

  await table.truth.expectEqualValuesToBeEqual(database, 'user_logins_current');
});

describe('a rekey', () => {
  beforeEach(() => table.make('plain'));

  it('counts the rows that have NULL in a masked column among those that it rewrote', async () => {
    await table.writer('k1').invoke(table.truth.records(300));
    const declaration = loginEventsWith({ ipNetwork: true });
    await migrate(database.client, declaration);
    const keysetSource = () => Promise.resolve(KEYSETS.k1);
    const { invoke } = createFunction({ declaration, databaseUrl: database.url, keysetSource });
    await invoke(table.truth.records(1));
    const cli = createCli();

    const { exitCode, stderr, json } = await cli.run([...rekeyArguments(cli, database), '--json']);

    expect(exitCode, stderr).toBe(0);
    expect(json()).toMatchObject({ rows: 301, outcome: { kind: 'done', rewritten: 301 } });
  });

  it('waits until autovacuum makes way, and does not begin again', async () => {
    await table.writer('k1').invoke(table.truth.records(100));
    await withClient(database.login, async (autovacuum) => {
      await autovacuum.query('BEGIN; LOCK TABLE user_logins_aliases IN SHARE UPDATE EXCLUSIVE MODE');
      const rekeyed = runRekey(database, {}, (client) => {
        void client.query(`SET lock_timeout = '500ms'`);
      });
      // As long as autovacuum goes on beside somebody who waits.
      await untilWaiting(600);
      await autovacuum.query('ROLLBACK');

      expect(await rekeyed).toMatchObject({ kind: 'done', rewritten: 100 });
    });
  });

  it('that lost its connection at its end says what it did', async () => {
    await table.writer('k1').invoke(table.truth.records(100));
    const [begun] = await database.rows<{ at: string }>(`SELECT to_json(now())#>>'{}' AS at`);
    const first = await runRekey(database, { rows: 100, begun: begun!.at });

    expect(await runRekey(database, { rows: 100, begun: begun!.at })).toEqual(first);
    expect(first).toMatchObject({ kind: 'done', rewritten: 100 });
  });

  it('takes what came back beside the table since it was done, so that the key can be retired', async () => {
    await table.writer('k1').invoke(table.truth.records(100));
    const cli = createCli();
    const command = rekeyArguments(cli, database);
    expect((await cli.run(command)).exitCode).toBe(0);
    // Of a function that was late, after which the promotion was done once more; retention dropped the rows.
    await table.writer('k1').invoke(table.truth.records(5, 1));
    await fillAliases(database.client, loginEvents, KEYSETS.k2, { from: 'k1', to: 'k2' }, SILENT);
    await database.rows(`DELETE FROM user_logins WHERE starts_with(masked_ip, 's1~k1~')`);

    const { exitCode, stdout } = await cli.run(command);

    expect(exitCode, stdout).toBe(0);
    expect(await database.rows('SELECT * FROM user_logins_aliases')).toEqual([]);
    const options = command.slice(command.indexOf('--reason'));
    expect((await cli.run(['keys', 'retire', 'k1', ...options])).exitCode).toBe(0);
    expect((await cli.run(command)).stdout).toContain('no row has a token of key "k1"');
  });
});

describe('a promotion', () => {
  beforeEach(() => table.make('plain'));

  it('stands in the trail with the time at which the keyset changed, however long the aliases took', async () => {
    await table.writer('k1').invoke(table.truth.records(3));
    const cli = createCli();
    const command = rekeyArguments(cli, database, KEYSET_TEXTS.k1);
    const options = command.slice(command.indexOf('--reason'));

    await withClient(database.login, async (other) => {
      await other.query('BEGIN; LOCK TABLE user_logins_aliases IN SHARE MODE');
      const promoted = cli.start(['keys', 'promote', 'k2', '--now', ...options]);
      await untilWaiting();
      expect(await database.rows('SELECT FROM pii_audit')).toEqual([]);
      await other.query('ROLLBACK');
      expect((await promoted.result).exitCode).toBe(0);
    });

    expect(await database.rows('SELECT action FROM pii_audit')).toEqual([{ action: 'keys promote' }]);
  });
});
