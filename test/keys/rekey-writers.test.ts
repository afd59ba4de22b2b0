import { beforeEach, describe, expect, it } from 'vitest';
import { useCli } from '../support/cli.ts';
import { KEYSET_TEXTS, rekeyArguments, tokensByKey } from '../support/rekey.ts';
import { around, runRekey, SECOND_CENSUS } from '../support/rekey-run.ts';
import { SILENT, useRekeyTable } from '../support/rekey-table.ts';

const table = useRekeyTable();
const { database } = table;
const createCli = useCli();

beforeEach(() => table.make('plain'));

describe('a rekey and functions that have the old key still', () => {
  it('rewrites what they write while it counts', async () => {
    await table.writer('k1').invoke(table.truth.records(200));
    const { invoke } = table.writer('k1');
    let counts = 0;

    const outcome = await runRekey(database, {}, (client) =>
      around(client, SECOND_CENSUS, async (statement) => {
        if (counts++ < 3) await invoke(table.truth.records(1, counts));
        return statement();
      }),
    );

    expect(outcome).toMatchObject({ kind: 'done', proof: { verdict: 'proven', left: 0 } });
    expect(await tokensByKey(database)).toEqual({ 's1~k2': 406 });
    await table.truth.expectEqualValuesToBeEqual(database);
  });

  it('gives up after its patience, however seldom they write, and keeps the aliases', async () => {
    await table.writer('k1').invoke(table.truth.records(200));
    const { invoke } = table.writer('k1');

    const outcome = await runRekey(database, { patience: 1_500 }, (client) =>
      around(client, SECOND_CENSUS, async (statement) => {
        await invoke(table.truth.records(1));
        return statement();
      }),
    );

    expect(outcome).toEqual({ kind: 'written' });
    await table.truth.expectEqualValuesToBeEqual(database, 'user_logins_current');
  });

  it('waits after a promotion until they have read the keyset again', async () => {
    await table.writer('k1').invoke(table.truth.records(200));
    const cli = createCli();
    const command = rekeyArguments(cli, database, KEYSET_TEXTS.k1);
    const options = command.slice(command.indexOf('--reason'));
    expect((await cli.run(['keys', 'promote', 'k2', '--now', ...options])).exitCode).toBe(0);
    const notes: string[] = [];
    let late: Promise<unknown> | undefined;
    const note = (text: string) => {
      notes.push(text);
      if (text.startsWith('waiting until')) late ??= table.writer('k1').invoke(table.truth.records(50, 1));
    };

    const began = performance.now();
    const outcome = await runRekey(database, { progress: { ...SILENT, note }, settling: 6_000 });
    await late;

    expect(outcome).toMatchObject({ kind: 'done', proof: { verdict: 'proven', left: 0 } });
    expect(performance.now() - began).toBeGreaterThan(1_000);
    expect(notes.join('\n')).toMatch(/waiting until \d{4}-\d\d-\d\dT[\d:]+Z: functions that have not read/);
    expect(await tokensByKey(database)).toEqual({ 's1~k2': 500 });
    await table.truth.expectEqualValuesToBeEqual(database);
  });

  it('ends the wait on Ctrl-C, and does not wait when it is told so', async () => {
    await table.writer('k1').invoke(table.truth.records(200));
    const cli = createCli();
    const command = rekeyArguments(cli, database, KEYSET_TEXTS.k1);
    const options = command.slice(command.indexOf('--reason'));
    await cli.run(['keys', 'promote', 'k2', '--now', ...options]);

    const running = cli.start(command);
    await running.shows('waiting until');
    running.child.kill('SIGINT');

    expect((await running.result).exitCode).toBe(130);
    expect(await database.rows('SELECT phase FROM user_logins_rekeys')).toEqual([{ phase: 'rows' }]);
    await table.truth.expectEqualValuesToBeEqual(database, 'user_logins_current');
    expect((await cli.run([...command, '--now'])).exitCode).toBe(0);
    await table.truth.expectEqualValuesToBeEqual(database);
  });
});
