import { beforeEach, describe, expect, it } from 'vitest';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { proveKey, proveKeys } from '../../lambda/masking/key-proof.ts';
import { parseKeyset } from '../../lambda/masking/keyset.ts';
import { checkKeys } from '../../lambda/postgres/keys/check.ts';
import { fillAliases } from '../../lambda/postgres/rekey/aliases.ts';
import { migrate } from '../../lambda/postgres/schema/schema.ts';
import { useCli } from '../support/cli.ts';
import { KEYSET_TEXTS, KEYSETS, rekeyArguments, repeatsOf, tokensByKey } from '../support/rekey.ts';
import { around, runRekey } from '../support/rekey-run.ts';
import { SILENT, TODAY, useRekeyTable } from '../support/rekey-table.ts';
import { uniqueRoles } from '../support/roles.ts';

const table = useRekeyTable();
const { database } = table;
const createCli = useCli();

/** Which rows share a token, whatever it is. */
async function rowsOfEachToken(): Promise<unknown[]> {
  return database.rows(
    `SELECT string_agg(user_id, ' ' ORDER BY user_id) FROM user_logins GROUP BY masked_ip
     UNION ALL
     SELECT string_agg(user_id, ' ' ORDER BY user_id) FROM user_logins GROUP BY masked_device_id ORDER BY 1`,
  );
}

describe.each(['plain', 'partitioned'] as const)('a rekey of a %s table', (kind) => {
  beforeEach(() => table.make(kind));

  it('rewrites every token of the old key, and equal values are equal as before', async () => {
    await table.writer('k1').invoke(table.truth.records(500));
    await table.writer('k2').invoke(table.truth.records(300));
    const cli = createCli();

    const { exitCode, stderr, json } = await cli.run([...rekeyArguments(cli, database), '--json']);

    expect(exitCode, stderr).toBe(0);
    expect(await tokensByKey(database)).toEqual({ 's1~k2': 1_600 });
    await table.truth.expectEqualValuesToBeEqual(database);
    expect(await repeatsOf(database)).toEqual(table.truth.repeats());
    expect(json()).toMatchObject({
      rows: 500,
      outcome: {
        kind: 'done',
        rewritten: 500,
        proof: { verdict: 'proven', left: 0, arrived: 0, rowsAfter: 800 },
      },
    });
    const { outcome } = json() as { outcome: object };
    expect(Object.keys(outcome)).toEqual(['kind', 'rewritten', 'resealed', 'proof']);
    expect(await database.rows('SELECT * FROM user_logins_aliases')).toEqual([]);
    expect(await database.rows('SELECT * FROM user_logins_rekey_groups')).toEqual([]);
    expect(await database.rows('SELECT action, kids, count::int FROM pii_audit')).toEqual([
      { action: 'rekey', kids: ['k1', 'k2'], count: 500 },
    ]);
  });

  it.each(['recoverable', 'irreversible'] as const)(
    'is remembered as written with the new key, be nothing else written with it (%s)',
    async (masking) => {
      await table.writer('k1', masking).invoke(table.truth.records(20));
      const cli = createCli();

      const { exitCode, stderr } = await cli.run(rekeyArguments(cli, database));

      expect(exitCode, stderr).toBe(0);
      const others = parseKeyset(KEYSET_TEXTS.k2.replaceAll('b', 'x'));
      await expect(checkKeys(database.client, loginEvents, [proveKey(others, 'k2')])).rejects.toMatchObject({
        code: 'wrong_key',
      });
      expect(
        await checkKeys(database.client, loginEvents, proveKeys(KEYSETS.k2, masking, loginEvents)),
      ).toEqual([]);
    },
  );

  it('leaves analysts the truth at every moment, in both views', async () => {
    await table.writer('k1').invoke(table.truth.records(4_000));
    const seen = new Set<string>();
    let statements = 0;
    const look = async () => {
      expect(await repeatsOf(database)).toEqual(table.truth.repeats());
      await table.truth.expectEqualValuesToBeEqual(database, 'user_logins_current');
      seen.add(Object.keys(await tokensByKey(database)).join());
    };

    const outcome = await runRekey(database, { batchSize: 1 }, (client) =>
      around(client, /./, async (statement) => {
        const result = await statement();
        if (statements++ % 8 === 0) await look();
        return result;
      }),
    );
    await look();

    expect(outcome).toMatchObject({ kind: 'done', rewritten: 4_000 });
    expect(seen).toEqual(new Set(['s1~k1', 's1~k1,s1~k2', 's1~k2']));
  });

  it('goes on while functions write, first with the old key and then with the new one', async () => {
    const [old, young] = [table.writer('k1'), table.writer('k2')];
    await old.invoke(table.truth.records(1_000));
    const cli = createCli();

    const running = cli.start([...rekeyArguments(cli, database), '--batch-size', '1']);
    await running.shows('counting the rows of every value');
    // Values that have no alias yet are among them.
    for (let i = 1; i <= 5; i++) expect(await old.invoke(table.truth.records(100, i))).toEqual([]);
    for (let i = 1; i <= 5; i++) expect(await young.invoke(table.truth.records(100, i))).toEqual([]);
    const { exitCode, stderr } = await running.result;

    expect(exitCode, stderr).toBe(0);
    expect(await tokensByKey(database)).toEqual({ 's1~k2': 4_000 });
    await table.truth.expectEqualValuesToBeEqual(database);
  });

  it('keeps no event from being delivered again meanwhile, and none becomes two rows', async () => {
    const { invoke } = table.writer('k2');
    const batch = table.truth.records(2_000);
    await table.writer('k1').invoke(batch);
    const again = batch.slice(0, 500).map((message) => ({
      ...message,
      attributes: { ...message.attributes, ApproximateReceiveCount: '2' },
    }));
    const cli = createCli();

    let isDone = false;
    const done = cli.run(rekeyArguments(cli, database)).finally(() => {
      isDone = true;
    });
    while (!isDone) {
      expect(await invoke(again)).toEqual([]);
      expect(await invoke(batch.slice(500, 600))).toEqual([]);
    }

    expect((await done).exitCode).toBe(0);
    expect(await tokensByKey(database)).toEqual({ 's1~k2': 4_000 });
    await table.truth.expectEqualValuesToBeEqual(database);
  });

  it('goes on on another connection where one is lost', async () => {
    await table.writer('k1').invoke(table.truth.records(4_000));
    const cli = createCli();

    const running = cli.start([...rekeyArguments(cli, database), '--batch-size', '1']);
    await table.untilRewritten();
    await database.rows(
      `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
    );
    await running.shows('the database interrupted the rekey (');
    const { exitCode, json } = await running.result;

    expect(exitCode).toBe(0);
    expect(() => json()).toThrow();
    await table.truth.expectEqualValuesToBeEqual(database);
    expect(await database.rows('SELECT rewritten::int, phase FROM user_logins_rekeys')).toEqual([
      { rewritten: 4_000, phase: 'done' },
    ]);
  });
});

describe('a rekey', () => {
  beforeEach(() => table.make('plain'));

  it('rewrites recoverable, irreversible and missing values of one table, rows without an event id as well', async () => {
    await table.writer('k1').invoke(table.truth.records(200));
    await table.writer('k1', 'irreversible').invoke(table.truth.records(200));
    await database.rows('UPDATE user_logins SET event_id = NULL WHERE locale IS NOT NULL');
    await database.rows('UPDATE user_logins SET masked_device_id = NULL WHERE user_id IN ($1, $2)', [
      'user-3',
      'user-250',
    ]);
    const before = await rowsOfEachToken();
    const cli = createCli();

    const { exitCode, stdout } = await cli.run(rekeyArguments(cli, database));

    expect(exitCode).toBe(0);
    expect(stdout).toContain('proven: every value has as many rows as before');
    expect(await tokensByKey(database)).toEqual({ 'h1~k2': 399, 's1~k2': 399 });
    expect(await rowsOfEachToken()).toEqual(before);
  });

  it('makes irreversible tokens into those that functions make under the new key', async () => {
    const early = table.truth.records(300);
    await table.writer('k1', 'irreversible').invoke(early);
    const cli = createCli();
    await cli.run(rekeyArguments(cli, database));
    await table.writer('k2', 'irreversible').invoke(table.truth.records(300));

    expect(await tokensByKey(database)).toEqual({ 'h1~k2': 1_200 });
    await table.truth.expectEqualValuesToBeEqual(database);
  });

  it('says the second time that it is done', async () => {
    await table.writer('k1').invoke(table.truth.records(100));
    const cli = createCli();
    await cli.run(rekeyArguments(cli, database));

    const { exitCode, stdout } = await cli.run(rekeyArguments(cli, database));

    expect(exitCode).toBe(0);
    expect(stdout).toBe('no row has a token of key "k1"; they were rewritten for "k2" before, 100 rows\n');
    expect(await database.rows('SELECT phase FROM user_logins_rekeys')).toEqual([{ phase: 'done' }]);
  });

  it('begins anew where rows have come under the old key since', async () => {
    await table.writer('k1').invoke(table.truth.records(100));
    const cli = createCli();
    await cli.run(rekeyArguments(cli, database));
    await table.writer('k1').invoke(table.truth.records(100));

    expect((await cli.run(rekeyArguments(cli, database))).exitCode).toBe(0);

    expect(await tokensByKey(database)).toEqual({ 's1~k2': 400 });
    await table.truth.expectEqualValuesToBeEqual(database);
  });

  it('goes over several keys: what was to be one under the second key is one under the third', async () => {
    await table.writer('k1').invoke(table.truth.records(200));
    const cli = createCli();
    const client = database.client;
    await fillAliases(client, loginEvents, KEYSETS.k2, { from: 'k1', to: 'k2' }, SILENT);
    await table.writer('k2').invoke(table.truth.records(200));
    await fillAliases(client, loginEvents, KEYSETS.k3, { from: 'k2', to: 'k3' }, SILENT);
    await table.writer('k3').invoke(table.truth.records(200));
    expect(await repeatsOf(database)).toEqual(table.truth.repeats());

    for (const from of ['k1', 'k2']) {
      const rotation = ['--from', from, '--to', 'k3'];
      const { exitCode, stderr } = await cli.run(rekeyArguments(cli, database, KEYSET_TEXTS.k3, rotation));
      expect(exitCode, stderr).toBe(0);
      expect(await repeatsOf(database)).toEqual(table.truth.repeats());
    }

    expect(await tokensByKey(database)).toEqual({ 's1~k3': 1_200 });
    await table.truth.expectEqualValuesToBeEqual(database);
  });

  it('is for whoever has the role of a custodian, of a partitioned table as well', async () => {
    await table.make('partitioned');
    const roles = uniqueRoles();
    await migrate(database.client, loginEvents, { roles, partitions: { today: TODAY } });
    await database.rows(`ALTER ROLE ${roles.custodian} PASSWORD 'secret'`);
    await table.writer('k1').invoke(table.truth.records(200));
    const cli = createCli();
    const url = Object.assign(new URL(database.url), { username: roles.custodian, password: 'secret' }).href;

    const { exitCode, stderr } = await cli.run(rekeyArguments(cli, { url }));

    expect(exitCode, stderr).toBe(0);
    await table.truth.expectEqualValuesToBeEqual(database);
    const all = Object.values(roles).join(', ');
    await database.rows(`DROP OWNED BY ${all}`);
    await database.rows(`DROP ROLE ${all}`);
  });
});
