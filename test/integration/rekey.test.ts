import { beforeEach, describe, expect, it, vi } from 'vitest';
import { loginEvents } from '../../lambda/events/login-event.ts';
import type { Keyset } from '../../lambda/masking/keyset.ts';
import { withClient } from '../../lambda/postgres/connection.ts';
import { dayOf } from '../../lambda/postgres/partition-days.ts';
import { makePartitions } from '../../lambda/postgres/partitions.ts';
import { fillAliases } from '../../lambda/postgres/rekey/aliases.ts';
import { rekey } from '../../lambda/postgres/rekey/rekey.ts';
import { migrate } from '../../lambda/postgres/schema.ts';
import { useCli } from '../support/cli.ts';
import { useDatabase } from '../support/database.ts';
import { useFunctions } from '../support/function.ts';
import { KEYSET_TEXTS, KEYSETS, rekeyArguments, repeatsOf, Truth, tokensByKey } from '../support/rekey.ts';
import { uniqueRoles } from '../support/roles.ts';
import { textMasker } from '../support/tokens.ts';

const database = useDatabase({ empty: true });
const createFunction = useFunctions();
const createCli = useCli();

const today = dayOf(Date.now());
const SILENT = { begin() {}, advance() {}, note() {}, end() {} };
let truth: Truth;
let written: Promise<string[]> | undefined;

function writer(key: keyof typeof KEYSETS, masking: 'recoverable' | 'irreversible' = 'recoverable') {
  const keysetSource = () => Promise.resolve(KEYSETS[key]);
  return createFunction({ databaseUrl: database.url, masking, keysetSource });
}

async function makeTable(kind: 'plain' | 'partitioned'): Promise<void> {
  await database.client.query('DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public');
  await migrate(database.client, loginEvents, kind === 'partitioned' ? { partitions: { today } } : {});
  if (kind === 'partitioned')
    await makePartitions(database.client, loginEvents, { today, ahead: 2 }, () => {});
}

/** Resolves when a rekey that was started has rewritten its first rows. */
async function untilItRewrites(): Promise<void> {
  await vi.waitFor(async () => expect(await tokensByKey(database)).toHaveProperty('s1~k2'), {
    timeout: 20_000,
    interval: 5,
  });
}

/** Which rows share a token, whatever it is. */
async function rowsOfEachToken(): Promise<unknown[]> {
  return database.rows(
    `SELECT string_agg(user_id, ' ' ORDER BY user_id) FROM user_logins GROUP BY masked_ip
     UNION ALL
     SELECT string_agg(user_id, ' ' ORDER BY user_id) FROM user_logins GROUP BY masked_device_id ORDER BY 1`,
  );
}

beforeEach(() => {
  truth = new Truth();
});

describe.each(['plain', 'partitioned'] as const)('a rekey of a %s table', (kind) => {
  beforeEach(() => makeTable(kind));

  it('rewrites every token of the old key, and equal values are equal as before', async () => {
    await writer('k1').invoke(truth.records(500));
    await writer('k2').invoke(truth.records(300));
    const cli = createCli();

    const { exitCode, stderr, json } = await cli.run([...rekeyArguments(cli, database), '--json']);

    expect(exitCode, stderr).toBe(0);
    expect(await tokensByKey(database)).toEqual({ 's1~k2': 1_600 });
    await truth.expectEqualValuesToBeEqual(database);
    expect(await repeatsOf(database)).toEqual(truth.repeats());
    expect(json()).toMatchObject({
      rows: 500,
      outcome: {
        kind: 'done',
        rewritten: 500,
        proof: { verdict: 'proven', left: 0, arrived: 0, rowsAfter: 800 },
      },
    });
    expect(await database.rows('SELECT * FROM user_logins_aliases')).toEqual([]);
    expect(await database.rows('SELECT * FROM user_logins_rekey_groups')).toEqual([]);
    expect(await database.rows('SELECT action, kids, count::int FROM pii_audit')).toEqual([
      { action: 'rekey', kids: ['k1', 'k2'], count: 500 },
    ]);
  });

  it('leaves analysts the truth at every moment, in both views', async () => {
    await writer('k1').invoke(truth.records(4_000));
    const cli = createCli();
    const seen: string[] = [];

    const { result } = cli.start([...rekeyArguments(cli, database), '--batch-size', '1']);
    let isDone = false;
    const done = result.finally(() => {
      isDone = true;
    });
    while (!isDone) {
      expect(await repeatsOf(database)).toEqual(truth.repeats());
      await truth.expectEqualValuesToBeEqual(database, 'user_logins_current');
      seen.push(Object.keys(await tokensByKey(database)).join());
    }

    expect((await done).exitCode).toBe(0);
    expect(new Set(seen)).toContain('s1~k1,s1~k2');
  });

  it('goes on while functions write, first with the old key and then with the new one', async () => {
    const [old, young] = [writer('k1'), writer('k2')];
    await old.invoke(truth.records(1_000));
    const cli = createCli();

    const running = cli.start([...rekeyArguments(cli, database), '--batch-size', '1']);
    await running.shows('counting the rows of every value');
    // Values that have no alias yet are among them.
    for (let i = 1; i <= 5; i++) expect(await old.invoke(truth.records(100, i))).toEqual([]);
    for (let i = 1; i <= 5; i++) expect(await young.invoke(truth.records(100, i))).toEqual([]);
    const { exitCode, stderr } = await running.result;

    expect(exitCode, stderr).toBe(0);
    expect(await tokensByKey(database)).toEqual({ 's1~k2': 4_000 });
    await truth.expectEqualValuesToBeEqual(database);
  });

  it('keeps no event from being delivered again meanwhile, and none becomes two rows', async () => {
    const { invoke } = writer('k2');
    const batch = truth.records(2_000);
    await writer('k1').invoke(batch);
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
    await truth.expectEqualValuesToBeEqual(database);
  });

  it('goes on on another connection where one is lost', async () => {
    await writer('k1').invoke(truth.records(4_000));
    const cli = createCli();

    const running = cli.start([...rekeyArguments(cli, database), '--batch-size', '1']);
    await untilItRewrites();
    await database.rows(
      `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
    );
    await running.shows('the database interrupted the rekey (57P01); it goes on where it was');
    const { exitCode, json } = await running.result;

    expect(exitCode).toBe(0);
    expect(() => json()).toThrow();
    await truth.expectEqualValuesToBeEqual(database);
    expect(await database.rows('SELECT rewritten::int, phase FROM user_logins_rekeys')).toEqual([
      { rewritten: 4_000, phase: 'done' },
    ]);
  });
});

describe('a rekey', () => {
  beforeEach(() => makeTable('plain'));

  it('rewrites recoverable, irreversible and missing values of one table, rows without an event id as well', async () => {
    await writer('k1').invoke(truth.records(200));
    await writer('k1', 'irreversible').invoke(truth.records(200));
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
    const early = truth.records(300);
    await writer('k1', 'irreversible').invoke(early);
    const cli = createCli();
    await cli.run(rekeyArguments(cli, database));
    await writer('k2', 'irreversible').invoke(truth.records(300));

    expect(await tokensByKey(database)).toEqual({ 'h1~k2': 1_200 });
    await truth.expectEqualValuesToBeEqual(database);
  });

  it('says the second time that it is done', async () => {
    await writer('k1').invoke(truth.records(100));
    const cli = createCli();
    await cli.run(rekeyArguments(cli, database));

    const { exitCode, stdout } = await cli.run(rekeyArguments(cli, database));

    expect(exitCode).toBe(0);
    expect(stdout).toBe('no row has a token of key "k1"; they were rewritten for "k2" before, 100 rows\n');
    expect(await database.rows('SELECT phase FROM user_logins_rekeys')).toEqual([{ phase: 'done' }]);
  });

  it('begins anew where rows have come under the old key since', async () => {
    await writer('k1').invoke(truth.records(100));
    const cli = createCli();
    await cli.run(rekeyArguments(cli, database));
    await writer('k1').invoke(truth.records(100));

    expect((await cli.run(rekeyArguments(cli, database))).exitCode).toBe(0);

    expect(await tokensByKey(database)).toEqual({ 's1~k2': 400 });
    await truth.expectEqualValuesToBeEqual(database);
  });

  it('changes nothing where it is only to say what it would do', async () => {
    await writer('k1').invoke(truth.records(100));
    const cli = createCli();

    const { exitCode, stdout } = await cli.run([...rekeyArguments(cli, database), '--dry-run']);

    expect(exitCode).toBe(0);
    expect(stdout).toBe(
      '100 rows have tokens of key "k1", 0 of them irreversible ones; nothing was changed\n',
    );
    expect(await tokensByKey(database)).toEqual({ 's1~k1': 200 });
    for (const table of ['pii_audit', 'user_logins_rekeys', 'user_logins_aliases'])
      expect(await database.rows(`SELECT * FROM ${table}`)).toEqual([]);
  });

  it('leaves altered tokens as they are, counts them and ends', async () => {
    await writer('k1').invoke(truth.records(100));
    await database.rows(
      `UPDATE user_logins SET masked_ip = translate(masked_ip, 'ABCDEFGHabcdefgh', 'HGFEDCBAhgfedcba') WHERE user_id = 'user-5'`,
    );
    const before = await database.rows(`SELECT masked_ip FROM user_logins WHERE user_id = 'user-5'`);
    const cli = createCli();

    const { exitCode, stdout } = await cli.run(rekeyArguments(cli, database));

    expect(exitCode).toBe(1);
    expect(stdout).toContain('1 tokens of key "k1" are left: they are not authentic');
    expect(await tokensByKey(database)).toEqual({ 's1~k1': 1, 's1~k2': 199 });
    expect(await database.rows(`SELECT masked_ip FROM user_logins WHERE user_id = 'user-5'`)).toEqual(before);
    // Again, it ends again.
    expect((await cli.run(rekeyArguments(cli, database))).exitCode).toBe(1);
  });

  it('goes over several keys: what was to be one under the second key is one under the third', async () => {
    await writer('k1').invoke(truth.records(200));
    const cli = createCli();
    const client = database.client;
    await fillAliases(client, loginEvents, KEYSETS.k2, { from: 'k1', to: 'k2' }, SILENT);
    await writer('k2').invoke(truth.records(200));
    await fillAliases(client, loginEvents, KEYSETS.k3, { from: 'k2', to: 'k3' }, SILENT);
    await writer('k3').invoke(truth.records(200));
    expect(await repeatsOf(database)).toEqual(truth.repeats());

    for (const from of ['k1', 'k2']) {
      const rotation = ['--from', from, '--to', 'k3'];
      const { exitCode, stderr } = await cli.run(rekeyArguments(cli, database, KEYSET_TEXTS.k3, rotation));
      expect(exitCode, stderr).toBe(0);
      expect(await repeatsOf(database)).toEqual(truth.repeats());
    }

    expect(await tokensByKey(database)).toEqual({ 's1~k3': 1_200 });
    await truth.expectEqualValuesToBeEqual(database);
  });

  it('does not call proven what retention has taken rows of', async () => {
    await writer('k1').invoke(truth.records(100));
    await writer('k1').invoke(truth.records(4_000));
    await database.rows(`UPDATE user_logins SET create_date = create_date - 40 WHERE user_id < 'user-2'`);
    const cli = createCli();

    const running = cli.start([...rekeyArguments(cli, database), '--batch-size', '1']);
    await untilItRewrites();
    await database.rows('DELETE FROM user_logins WHERE create_date < current_date - 30');
    const { exitCode, stdout } = await running.result;

    expect(exitCode).toBe(1);
    expect(stdout).toMatch(/not proven: rows were deleted meanwhile \(1 dates have fewer\)/);
    expect(Object.keys(await tokensByKey(database))).toEqual(['s1~k2']);
  });

  it('finds a value whose rows have become another value, and stays unfinished', async () => {
    await writer('k1').invoke(truth.records(4_000));
    const cli = createCli();

    const running = cli.start([...rekeyArguments(cli, database), '--batch-size', '1']);
    await untilItRewrites();
    await database.rows(
      `UPDATE user_logins SET masked_ip = (SELECT min(masked_ip) FROM user_logins WHERE starts_with(masked_ip, 's1~k2'))
       WHERE user_id = 'user-7'`,
    );
    const { exitCode, stdout } = await running.result;

    expect(exitCode).toBe(1);
    expect(stdout).toContain('not proven: values have fewer rows than before though none was deleted');
    expect(await database.rows('SELECT phase FROM user_logins_rekeys')).toEqual([{ phase: 'rows' }]);
    expect((await cli.run(rekeyArguments(cli, database))).exitCode).toBe(1);
  });

  it('waits for no row for long, and goes on when the row is free', async () => {
    await writer('k1').invoke(truth.records(200));
    const cli = createCli();

    const running = await withClient(database.login, async (session) => {
      await session.query(`BEGIN; SELECT FROM user_logins WHERE user_id = 'user-150' FOR UPDATE`);
      const running = cli.start(rekeyArguments(cli, database));
      await running.shows('the database interrupted the rekey (55P03); it goes on where it was');
      return running;
    });

    expect((await running.result).exitCode).toBe(0);
    await truth.expectEqualValuesToBeEqual(database);
  });

  it('is for whoever has the role of a custodian, of a partitioned table as well', async () => {
    await makeTable('partitioned');
    const roles = uniqueRoles();
    await migrate(database.client, loginEvents, { roles, partitions: { today } });
    await database.rows(`ALTER ROLE ${roles.custodian} PASSWORD 'secret'`);
    await writer('k1').invoke(truth.records(200));
    const cli = createCli();
    const url = Object.assign(new URL(database.url), { username: roles.custodian, password: 'secret' }).href;

    const { exitCode, stderr } = await cli.run(rekeyArguments(cli, { url }));

    expect(exitCode, stderr).toBe(0);
    await truth.expectEqualValuesToBeEqual(database);
    const all = Object.values(roles).join(', ');
    await database.rows(`DROP OWNED BY ${all}`);
    await database.rows(`DROP ROLE ${all}`);
  });

  it('ends after the batch on Ctrl-C, and the same command goes on', async () => {
    await writer('k1').invoke(truth.records(4_000));
    const cli = createCli();
    const command = [...rekeyArguments(cli, database), '--batch-size', '1'];

    const running = cli.start(command);
    await untilItRewrites();
    running.child.kill('SIGINT');
    const { exitCode, stdout } = await running.result;

    expect(exitCode).toBe(130);
    expect(stdout).toBe('stopped; what was rewritten is committed, and the same command goes on there\n');
    expect(await tokensByKey(database)).toHaveProperty('s1~k1');
    expect(await repeatsOf(database)).toEqual(truth.repeats());
    expect((await cli.run(command)).exitCode).toBe(0);
    await truth.expectEqualValuesToBeEqual(database);
    expect(await database.rows('SELECT rewritten::int FROM user_logins_rekeys')).toEqual([
      { rewritten: 4_000 },
    ]);
  });

  it('gives up when functions go on writing with the old key', async () => {
    const { invoke } = writer('k1');
    await invoke(truth.records(100));

    const outcome = await withClient(database.login, (client) =>
      rekey(client, loginEvents, KEYSETS.k2, {
        rotation: { from: 'k1', to: 'k2' },
        rows: 100,
        batchSize: 2_000,
        signal: new AbortController().signal,
        progress: SILENT,
        onBatch: () => {
          written = invoke(truth.records(10));
        },
        patience: 1_000,
      }),
    );
    await written;

    expect(outcome).toEqual({ kind: 'written' });
    expect(await repeatsOf(database)).toEqual(truth.repeats());
  });

  it('rewrites the vault of sealed values with the rows', async () => {
    await migrate(database.client, loginEvents, { vault: true });
    await writer('k1', 'irreversible').invoke(truth.records(200));
    const seal = (condition: string) =>
      database.rows(
        `INSERT INTO user_logins_vault (token, key_id, sealed)
         SELECT DISTINCT token, gen_random_uuid(), convert_to(token, 'UTF8')
         FROM (SELECT masked_ip FROM user_logins UNION SELECT masked_device_id FROM user_logins) AS t (token)
         WHERE ${condition} ON CONFLICT DO NOTHING`,
      );
    await seal('true');
    await writer('k2', 'irreversible').invoke(truth.records(50));
    // Some of the same values were sealed again under the new key.
    await seal(`starts_with(token, 'h1~k2') AND token < 'h1~k2~V'`);
    const cli = createCli();

    expect((await cli.run(rekeyArguments(cli, database))).exitCode).toBe(0);

    const tokens = await database.rows<{ token: string }>(
      'SELECT masked_ip AS token FROM user_logins UNION SELECT masked_device_id FROM user_logins',
    );
    const vault = await database.rows<{ token: string }>('SELECT token FROM user_logins_vault');
    const sorted = (rows: { token: string }[]) => rows.map(({ token }) => token).toSorted();
    expect(sorted(vault)).toEqual(sorted(tokens));
  });
});

describe('a rekey of the vault', () => {
  beforeEach(() => makeTable('plain'));

  it('keeps values whose rows retention has dropped, for tokens that were exported', async () => {
    await migrate(database.client, loginEvents, { vault: true });
    await writer('k1', 'irreversible').invoke(truth.records(10));
    const [, , , device] = loginEvents.columns;
    const tokenUnder = (keyset: Keyset) =>
      textMasker(keyset, 'irreversible', device)([Buffer.from('gone')])[0]!;
    await database.rows(
      `INSERT INTO user_logins_vault (token, key_id, sealed) VALUES ($1, gen_random_uuid(), 'sealed')`,
      [tokenUnder(KEYSETS.k1)],
    );
    const cli = createCli();

    expect((await cli.run(rekeyArguments(cli, database))).exitCode).toBe(0);

    const vault = await database.rows<{ token: string }>('SELECT token FROM user_logins_vault');
    expect(vault.map(({ token }) => token)).toContain(tokenUnder(KEYSETS.k2));
    expect(vault.filter(({ token }) => token.startsWith('h1~k1'))).toEqual([]);
  });
});

describe('a rekey is refused, and changes nothing', () => {
  beforeEach(() => makeTable('plain'));
  const twoKeys = (from: string, to: string) => ['--from', from, '--to', to];
  const bare = JSON.stringify({ ...JSON.parse(KEYSET_TEXTS.k2), 'k2.over': undefined });
  const other = KEYSET_TEXTS.k2.replace('a'.repeat(43), 'd'.repeat(43));

  it.each<[string, string, readonly string[], RegExp]>([
    [
      'to a key that is not primary',
      KEYSET_TEXTS.k1,
      twoKeys('k1', 'k2'),
      /^vizard: --to: expected the primary key "k1".*keys promote k2/,
    ],
    [
      'from a key that the keyset lacks',
      KEYSET_TEXTS.k2,
      twoKeys('k9', 'k2'),
      /^vizard: --from: expected one of \[k1, k2, k3\]/,
    ],
    [
      'to the same key',
      KEYSET_TEXTS.k2,
      twoKeys('k2', 'k2'),
      /^vizard: --from and --to: expected two keys, got one/,
    ],
    [
      'where the new key is not layered over the old one',
      bare,
      twoKeys('k1', 'k2'),
      /^vizard: key "k2": expected one that is layered over "k1", because 10 rows/,
    ],
    [
      'with another key of the name',
      other,
      twoKeys('k1', 'k2'),
      /^vizard: key "k1": expected the one that wrote the table/,
    ],
  ])('%s', async (_name, keyset, rotation, message) => {
    await writer('k1', 'irreversible').invoke(truth.records(10));
    const cli = createCli();

    const { exitCode, stdout, stderr } = await cli.run(rekeyArguments(cli, database, keyset, rotation));

    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr.trim().split('\n').at(-1)).toMatch(message);
    expect(await tokensByKey(database)).toEqual({ 'h1~k1': 20 });
    expect(await database.rows('SELECT * FROM pii_audit')).toEqual([]);
  });

  it('where another one is under way, which keeps erasures away as well', async () => {
    await writer('k1').invoke(truth.records(4_000));
    const cli = createCli();
    const command = rekeyArguments(cli, database);
    const running = cli.start([...command, '--batch-size', '1']);
    await running.shows('counting the rows of every value');

    const [, ...options] = command;
    const kept = options.slice(options.indexOf('--reason'));
    const erasure = await cli.run(['erase', '--ip', '10.0.1.1', '--yes', ...kept]);
    running.child.kill('SIGSTOP');
    const second = await cli.run(command);
    running.child.kill('SIGCONT');

    expect(erasure).toMatchObject({ exitCode: 2, stdout: '' });
    expect(erasure.stderr).toMatch(/a rekey or a change of the keys is under way; nothing was changed/);
    expect(second).toMatchObject({ exitCode: 2, stdout: '' });
    expect(second.stderr).toMatch(/another rekey, a change of the keys or an erasure is under way/);
    expect((await running.result).exitCode).toBe(0);
    await truth.expectEqualValuesToBeEqual(database);
  });
});
