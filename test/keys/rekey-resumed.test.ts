import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ClientBase } from 'pg';
import { beforeEach, describe, expect, it } from 'vitest';
import { loginEvents, loginEventsWith } from '../../lambda/events/login-event.ts';
import { withClient } from '../../lambda/postgres/connection.ts';
import { fillAliases } from '../../lambda/postgres/rekey/aliases.ts';
import { migrate } from '../../lambda/postgres/schema/schema.ts';
import { useCli } from '../support/cli.ts';
import { useFunctions } from '../support/function.ts';
import { KEYSET_TEXTS, KEYSETS, rekeyArguments, tokensByKey } from '../support/rekey.ts';
import { around, FIRST_CENSUS, runRekey, SECOND_CENSUS } from '../support/rekey-run.ts';
import { SILENT, useRekeyTable } from '../support/rekey-table.ts';

const table = useRekeyTable();
const { database } = table;
const createCli = useCli();
const createFunction = useFunctions();

beforeEach(() => table.make('plain'));

/** One that was ended after its first batch of rows. */
async function interrupted(): Promise<void> {
  const stop = new AbortController();
  const stopInRows = (client: ClientBase) =>
    around(client, /AS partly/, async (statement) => {
      stop.abort();
      return statement();
    });
  expect(await runRekey(database, { signal: stop.signal }, stopInRows)).toEqual({ kind: 'stopped' });
  expect(Object.keys(await tokensByKey(database))).toEqual(['s1~k1', 's1~k2']);
}

describe('a rekey that goes on', () => {
  it('rewrites for its own key where a promotion of another was cut off meanwhile', async () => {
    await table.writer('k1').invoke(table.truth.records(600));
    await table.writer('k2').invoke(table.truth.records(300));
    await interrupted();
    await fillAliases(database.client, loginEvents, KEYSETS.k3, { from: 'k2', to: 'k3' }, SILENT);
    const cli = createCli();

    const { exitCode, stdout, stderr } = await cli.run(rekeyArguments(cli, database));

    expect(exitCode, stdout + stderr).toBe(0);
    expect(await tokensByKey(database)).toEqual({ 's1~k2': 1_800 });
    await table.truth.expectEqualValuesToBeEqual(database);
    await table.writer('k2').invoke(table.truth.records(100));
    await table.truth.expectEqualValuesToBeEqual(database, 'user_logins_current');
  });

  it('ends where somebody deleted rows on a day on which others came in, says so again, and the key can be retired', async () => {
    await table.writer('k1').invoke(table.truth.records(600));
    await interrupted();
    await database.rows(`DELETE FROM user_logins WHERE user_id = 'user-3'`);
    await table.writer('k2').invoke(table.truth.records(20, 9));
    const cli = createCli();
    const command = rekeyArguments(cli, database);

    const first = await cli.run(command);
    const second = await cli.run(command);
    const options = command.slice(command.indexOf('--reason'));
    const retired = await cli.run(['keys', 'retire', 'k1', ...options]);

    const differences =
      'not proven: in masked_device_id 1 value has fewer rows than before; ' +
      'in masked_device_id values have together 20 rows more, while the table has 19; ' +
      'in masked_ip 1 value has fewer rows than before; in masked_ip values have together 20 rows more, while the table has 19; ' +
      'somebody else changes the table. Every token that can be read is rewritten\n';
    expect(first.exitCode).toBe(1);
    expect(first.stdout.endsWith(`\n${differences}`), first.stdout).toBe(true);
    expect(second.exitCode).toBe(1);
    expect(second.stdout).toBe(
      `no row has a token of key "k1"; they were rewritten for "k2" before, 600 rows\ndone, ${differences}`,
    );
    expect(retired.exitCode, retired.stderr).toBe(0);
    expect(await database.rows('SELECT * FROM user_logins_aliases')).toEqual([]);
  });

  it('begins anew where one to another key has begun since', async () => {
    await table.writer('k1').invoke(table.truth.records(600));
    await interrupted();
    const cli = createCli();
    const other = rekeyArguments(cli, database, KEYSET_TEXTS.k3, ['--from', 'k1', '--to', 'k3']);
    expect((await cli.run(other)).exitCode).toBe(0);
    await table.writer('k1').invoke(table.truth.records(100));

    const { exitCode, stdout } = await cli.run(rekeyArguments(cli, database));

    expect(exitCode, stdout).toBe(0);
    expect(stdout).toContain('100 rows rewritten from key "k1" to "k2"\n');
    expect(Object.keys(await tokensByKey(database))).toEqual(['s1~k2', 's1~k3']);
    expect(await database.rows('SELECT phase FROM user_logins_rekeys ORDER BY id')).toEqual(
      ['superseded', 'done', 'done'].map((phase) => ({ phase })),
    );
  });

  it.each([
    [
      'since it began is why values have fewer rows',
      true,
      /not proven: rows were deleted meanwhile \(0 dates/,
    ],
    ['of before is not', false, /not proven: in masked_device_id 1 value has fewer.*somebody else changes/],
  ])('an erasure that blanked rows %s', async (_name, since, verdict) => {
    await table.writer('k1').invoke(table.truth.records(600));
    const cli = createCli();
    const command = rekeyArguments(cli, database);
    const options = command.slice(command.indexOf('--reason'));
    const erase = () => cli.run(['erase', '--ip', '10.0.1.1', '--blank', '--yes', ...options]);
    if (!since) expect((await erase()).exitCode).toBe(0);
    await interrupted();
    if (since) expect((await erase()).exitCode).toBe(0);
    else await database.rows(`UPDATE user_logins SET masked_device_id = NULL WHERE user_id = 'user-3'`);

    const { exitCode, stdout } = await cli.run(command);

    expect(exitCode).toBe(1);
    expect(stdout).toMatch(verdict);
  });

  it('compares the columns that there were when it began', async () => {
    await table.writer('k1').invoke(table.truth.records(600));
    await interrupted();
    const declaration = loginEventsWith({ ipNetwork: true });
    await migrate(database.client, declaration);
    const keysetSource = () => Promise.resolve(KEYSETS.k2);
    await createFunction({ declaration, databaseUrl: database.url, keysetSource }).invoke(
      table.truth.records(20),
    );
    const cli = createCli();

    const { exitCode, stdout } = await cli.run(rekeyArguments(cli, database));

    expect(exitCode, stdout).toBe(0);
    await table.truth.expectEqualValuesToBeEqual(database);
  });
});

describe('a rekey', () => {
  it('that is cut off in its first count counts again before it rewrites a row', async () => {
    await table.writer('k1').invoke(table.truth.records(200));
    const lose = (client: ClientBase) =>
      around(client, FIRST_CENSUS, () => Promise.reject(new Error('the connection is lost')));

    await expect(runRekey(database, {}, lose)).rejects.toThrow('the database cannot be used');

    expect(await database.rows('SELECT phase FROM user_logins_rekeys')).toEqual([{ phase: 'aliases' }]);
    expect(await runRekey(database, {})).toMatchObject({
      proof: {
        verdict: 'proven',
        rowsBefore: 200,
        rowsAfter: 200,
        columns: [{ before: 60 }, { before: 77 }],
      },
    });
  });

  it('keeps the aliases where a trigger keeps rows as they are, and says so', async () => {
    await table.writer('k1').invoke(table.truth.records(300));
    await database.rows(
      `CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS
       'BEGIN IF OLD.user_id = ''user-7'' THEN RETURN NULL; END IF; RETURN NEW; END'`,
    );
    await database.rows(
      'CREATE TRIGGER keep BEFORE UPDATE ON user_logins FOR EACH ROW EXECUTE FUNCTION keep()',
    );
    const cli = createCli();

    const { exitCode, stdout } = await cli.run(rekeyArguments(cli, database));

    expect(exitCode).toBe(1);
    expect(stdout).toMatch(/^tokens of key "k1" stay though they can be rewritten: a trigger/);
    expect(await tokensByKey(database)).toEqual({ 's1~k1': 2, 's1~k2': 598 });
    await table.truth.expectEqualValuesToBeEqual(database, 'user_logins_current');
  });

  it.each([
    ['of two values one', '3 aliases are', `SELECT min(current) FROM user_logins_aliases`],
    ['one that the keyset does not make', '1 alias is', `SELECT 's1~k2~' || repeat('A', 43)`],
  ])(
    'does not call proven what was rewritten by aliases that somebody changed: %s',
    async (_name, wrong, other) => {
      await table.writer('k1').invoke(table.truth.records(600));
      await fillAliases(database.client, loginEvents, KEYSETS.k2, { from: 'k1', to: 'k2' }, SILENT);
      await database.rows(
        `UPDATE user_logins_aliases SET current = (${other})
       WHERE current = (SELECT max(current) FROM user_logins_aliases)`,
      );
      const cli = createCli();

      const { exitCode, stdout } = await cli.run(rekeyArguments(cli, database));

      expect(exitCode).toBe(1);
      expect(stdout).toContain(
        `not proven: ${wrong} not what the keyset makes of the token, or that of two tokens`,
      );
    },
  );

  it('goes by the keyset as it is when nobody else changes keys', async () => {
    await table.writer('k1').invoke(table.truth.records(200));
    const cli = createCli();
    const command = rekeyArguments(cli, database);
    const unlocked = await withClient(database.login, async (other) => {
      await other.query(`SELECT pg_advisory_lock(hashtext('vizard rekey'))`);
      const running = cli.start(command);
      await expect
        .poll(
          () =>
            database.rows(
              `SELECT FROM pg_stat_activity WHERE query LIKE '%pg_try_advisory_lock%' AND pid <> pg_backend_pid()`,
            ),
          { timeout: 10_000 },
        )
        .toHaveLength(1);
      writeFileSync(join(cli.directory, 'keyset.json'), KEYSET_TEXTS.k3);
      return running;
    });

    const { exitCode, stderr } = await unlocked.result;

    expect(exitCode).toBe(2);
    expect(stderr).toContain('--to: expected the primary key "k3"');
    expect(await tokensByKey(database)).toEqual({ 's1~k1': 400 });
  });

  it('is refused at once by a database that can only be read', async () => {
    await table.writer('k1').invoke(table.truth.records(3));
    const options = encodeURIComponent('-c default_transaction_read_only=on');
    const cli = createCli();

    const { exitCode, stderr } = await cli.run(
      rekeyArguments(cli, { url: `${database.url}?options=${options}` }),
    );

    expect(exitCode).toBe(2);
    expect(stderr).toContain('expected one that can be written to, got a read-only session');
  });

  it('does not wait for the end of a count when it is to stop', async () => {
    await table.writer('k1').invoke(table.truth.records(200));
    const stop = new AbortController();
    const began = performance.now();

    const outcome = await runRekey(database, { signal: stop.signal }, (client) => {
      void client.query(`SET client_connection_check_interval = '500ms'`);
      around(client, SECOND_CENSUS, async (statement) => {
        const slow = client.query('SELECT pg_sleep(60)');
        setTimeout(() => stop.abort(), 200);
        await slow;
        return statement();
      });
    });

    expect(outcome).toEqual({ kind: 'stopped' });
    expect(performance.now() - began).toBeLessThan(30_000);
    expect(await runRekey(database, {})).toMatchObject({ kind: 'done', proof: { verdict: 'proven' } });
  });
});
