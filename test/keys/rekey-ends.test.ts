import { beforeEach, describe, expect, it } from 'vitest';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { withClient } from '../../lambda/postgres/connection.ts';
import { rekey } from '../../lambda/postgres/rekey/rekey.ts';
import { useCli } from '../support/cli.ts';
import { KEYSET_TEXTS, KEYSETS, rekeyArguments, repeatsOf, tokensByKey } from '../support/rekey.ts';
import { SILENT, useRekeyTable } from '../support/rekey-table.ts';

const table = useRekeyTable();
const { database } = table;
const createCli = useCli();

describe('a rekey', () => {
  beforeEach(() => table.make('plain'));

  it('changes nothing where it is only to say what it would do', async () => {
    await table.writer('k1').invoke(table.truth.records(100));
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
    await table.writer('k1').invoke(table.truth.records(100));
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

  it('does not call proven what retention has taken rows of', async () => {
    await table.writer('k1').invoke(table.truth.records(100));
    await table.writer('k1').invoke(table.truth.records(4_000));
    await database.rows(`UPDATE user_logins SET create_date = create_date - 40 WHERE user_id < 'user-2'`);
    const cli = createCli();

    const running = cli.start([...rekeyArguments(cli, database), '--batch-size', '1']);
    await table.untilRewritten();
    await database.rows('DELETE FROM user_logins WHERE create_date < current_date - 30');
    const { exitCode, stdout } = await running.result;

    expect(exitCode).toBe(1);
    expect(stdout).toMatch(/not proven: rows were deleted meanwhile \(1 dates have fewer\)/);
    expect(Object.keys(await tokensByKey(database))).toEqual(['s1~k2']);
  });

  it('finds a value whose rows have become another value, and says so when it is asked again', async () => {
    await table.writer('k1').invoke(table.truth.records(4_000));
    const cli = createCli();

    const running = cli.start([...rekeyArguments(cli, database), '--batch-size', '1']);
    await table.untilRewritten();
    await database.rows(
      `UPDATE user_logins SET masked_ip = (SELECT min(masked_ip) FROM user_logins WHERE starts_with(masked_ip, 's1~k2'))
       WHERE user_id = 'user-7'`,
    );
    const { exitCode, stdout } = await running.result;

    expect(exitCode).toBe(1);
    expect(stdout).toContain(
      'not proven: in masked_ip 1 value has fewer rows than before; in masked_ip values have together 1 row more, while the table has 0; somebody else changes the table',
    );
    expect(await database.rows('SELECT phase FROM user_logins_rekeys')).toEqual([{ phase: 'done' }]);
    expect((await cli.run(rekeyArguments(cli, database))).exitCode).toBe(1);
  });

  it('waits for no row for long, and goes on when the row is free', async () => {
    await table.writer('k1').invoke(table.truth.records(200));
    const cli = createCli();

    const running = await withClient(database.login, async (session) => {
      await session.query(`BEGIN; SELECT FROM user_logins WHERE user_id = 'user-150' FOR UPDATE`);
      const running = cli.start(rekeyArguments(cli, database));
      await running.shows('the database interrupted the rekey (55P03); it goes on where it was');
      return running;
    });

    expect((await running.result).exitCode).toBe(0);
    await table.truth.expectEqualValuesToBeEqual(database);
  });

  it('ends after the batch on Ctrl-C, and the same command goes on', async () => {
    await table.writer('k1').invoke(table.truth.records(4_000));
    const cli = createCli();
    const command = [...rekeyArguments(cli, database), '--batch-size', '1'];

    const running = cli.start(command);
    await table.untilRewritten();
    running.child.kill('SIGINT');
    const { exitCode, stdout } = await running.result;

    expect(exitCode).toBe(130);
    expect(stdout).toBe('stopped; what was rewritten is committed, and the same command goes on there\n');
    expect(await tokensByKey(database)).toHaveProperty('s1~k1');
    expect(await repeatsOf(database)).toEqual(table.truth.repeats());
    expect((await cli.run(command)).exitCode).toBe(0);
    await table.truth.expectEqualValuesToBeEqual(database);
    expect(await database.rows('SELECT rewritten::int FROM user_logins_rekeys')).toEqual([
      { rewritten: 4_000 },
    ]);
  });

  it('goes on at the block where it ended', async () => {
    await table.writer('k1').invoke(table.truth.records(500));
    const blocks: number[] = [];

    for (let run = 0; run < 3; run++) {
      const stop = new AbortController();
      // Before the first batch of rows, the aliases are made and the rows are counted.
      let batches = run === 0 ? 3 : 1;
      const outcome = await withClient(database.login, (client) =>
        rekey(client, loginEvents, KEYSETS.k2, {
          rotation: { from: 'k1', to: 'k2' },
          rows: 500,
          batchSize: 64,
          signal: stop.signal,
          progress: SILENT,
          onBatch: () => {
            if (--batches === 0) stop.abort();
          },
        }),
      );
      expect(outcome).toEqual({ kind: 'stopped' });
      const [record] = await database.rows<{ block: number }>('SELECT block::int FROM user_logins_rekeys');
      blocks.push(record!.block);
    }

    expect(blocks).toEqual([2, 4, 6]);
  });

  it('gives up when functions go on writing with the old key', async () => {
    let written: Promise<string[]> | undefined;
    const { invoke } = table.writer('k1');
    await invoke(table.truth.records(100));

    const outcome = await withClient(database.login, (client) =>
      rekey(client, loginEvents, KEYSETS.k2, {
        rotation: { from: 'k1', to: 'k2' },
        rows: 100,
        batchSize: 2_000,
        signal: new AbortController().signal,
        progress: SILENT,
        onBatch: () => {
          written = invoke(table.truth.records(10));
        },
        patience: 1_000,
      }),
    );
    await written;

    expect(outcome).toEqual({ kind: 'written' });
    expect(await repeatsOf(database)).toEqual(table.truth.repeats());
  });
});

describe('a rekey is refused, and changes nothing', () => {
  beforeEach(() => table.make('plain'));
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
    await table.writer('k1', 'irreversible').invoke(table.truth.records(10));
    const cli = createCli();

    const { exitCode, stdout, stderr } = await cli.run(rekeyArguments(cli, database, keyset, rotation));

    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr.trim().split('\n').at(-1)).toMatch(message);
    expect(await tokensByKey(database)).toEqual({ 'h1~k1': 20 });
    expect(await database.rows('SELECT * FROM pii_audit')).toEqual([]);
  });

  it.each([
    ['another new key', { k2: 'd'.repeat(43) }, '(wrong_key)'],
    ['other layers', { 'k2.over': 'k3', 'k3.over': 'k1' }, '(wrong_layers)'],
  ])('with %s than functions have written with', async (_name, changes, code) => {
    for (const key of ['k1', 'k2'] as const)
      await table.writer(key, 'irreversible').invoke(table.truth.records(10));
    const keyset = JSON.stringify({ ...JSON.parse(KEYSET_TEXTS.k2), ...changes });
    const cli = createCli();

    const { exitCode, stdout, stderr } = await cli.run(rekeyArguments(cli, database, keyset));

    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toContain(code);
    expect(await tokensByKey(database)).toEqual({ 'h1~k1': 20, 'h1~k2': 20 });
    expect(await database.rows('SELECT * FROM pii_audit')).toEqual([]);
  });

  it('where the trail cannot be written: nothing is entered of it either', async () => {
    await table.writer('k1', 'irreversible').invoke(table.truth.records(10));
    const proofs = await database.rows('SELECT * FROM user_logins_keys');
    await database.rows('ALTER TABLE pii_audit RENAME TO set_aside');
    const cli = createCli();

    const { exitCode, stdout, stderr } = await cli.run(rekeyArguments(cli, database));

    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toContain('the audit trail pii_audit cannot be written (42P01)');
    expect(await tokensByKey(database)).toEqual({ 'h1~k1': 20 });
    expect(await database.rows('SELECT * FROM user_logins_keys')).toEqual(proofs);
    for (const table of ['user_logins_rekeys', 'user_logins_aliases'])
      expect(await database.rows(`SELECT * FROM ${table}`)).toEqual([]);
  });

  it('where another one is under way, which keeps erasures away as well', async () => {
    await table.writer('k1').invoke(table.truth.records(4_000));
    const cli = createCli();
    const command = rekeyArguments(cli, database);
    const running = cli.start([...command, '--batch-size', '1']);
    await running.shows('counting the rows of every value');
    // So that it does not end before the others have begun.
    running.child.kill('SIGSTOP');

    const [, ...options] = command;
    const kept = options.slice(options.indexOf('--reason'));
    const erasure = await cli.run(['erase', '--ip', '10.0.1.1', '--yes', ...kept]);
    const second = await cli.run(command);
    running.child.kill('SIGCONT');

    expect(erasure).toMatchObject({ exitCode: 2, stdout: '' });
    expect(erasure.stderr).toMatch(/a rekey or a change of the keys is under way; nothing was changed/);
    expect(second).toMatchObject({ exitCode: 2, stdout: '' });
    expect(second.stderr).toMatch(/another rekey, a change of the keys or an erasure is under way/);
    expect((await running.result).exitCode).toBe(0);
    await table.truth.expectEqualValuesToBeEqual(database);
  });
});
