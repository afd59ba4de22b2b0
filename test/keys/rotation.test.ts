import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { parseKeyset } from '../../lambda/masking/keyset.ts';
import { openTokens } from '../../lambda/masking/open-tokens.ts';
import { useCli } from '../support/cli.ts';
import { useDatabase } from '../support/database.ts';
import { useFunctions } from '../support/function.ts';
import { expectNoMaterial, REASON, readTrail, useKeyCommands } from '../support/key-commands.ts';
import { FIRST, useKeys } from '../support/key-proofs.ts';
import { loginEvent, records } from '../support/records.ts';

const database = useDatabase();
const { environment } = useKeys(database, useFunctions());
const createCommands = useKeyCommands(database);
const createCli = useCli();

const [, , addressColumn] = loginEvents.columns;

describe.each(['recoverable', 'irreversible'] as const)('the life of a key, %s', (masking) => {
  it('goes from its first token to the last, and values stay equal all the way', async () => {
    const { keys, cli, file, text } = createCommands(FIRST);
    const reason = ['--reason', REASON, '--keyset', file, '--database-url', database.url];
    const delivered = records(5);
    const status = async () => {
      const { keys: listed } = (await keys(['list', '--json'])).json() as {
        keys: { kid: string; status: string; rows: object }[];
      };
      return listed.map(({ kid, status: is, rows }) => ({ kid, is, rows: Object.values(rows)[0] ?? 0 }));
    };
    const groups = () =>
      database.rows('SELECT count(*)::int AS rows FROM user_logins_current GROUP BY masked_device_id');
    const twice = Array.from({ length: 5 }, () => ({ rows: 2 }));
    await environment(text(), { masking }).invoke(delivered);
    const exported = await database.rows<{ token: string }>('SELECT masked_ip AS token FROM user_logins');

    await keys(['add']);
    expect(await status()).toEqual([
      { kid: 'k1', is: 'primary', rows: 5 },
      { kid: 'k2', is: 'new', rows: 0 },
    ]);
    await keys(['promote', 'k2', '--now']);
    const { invoke } = environment(text(), { masking });
    await invoke(records(5));
    await invoke(
      delivered.map((message) => ({
        ...message,
        attributes: { ...message.attributes, ApproximateReceiveCount: '2' },
      })),
    );
    expect(await status()).toEqual([
      { kid: 'k1', is: 'old', rows: 5 },
      { kid: 'k2', is: 'primary', rows: 5 },
    ]);
    expect(await groups()).toEqual(twice);
    const rekeyed = await cli.run(['rekey', '--from', 'k1', '--to', 'k2', '--now', ...reason]);
    expect(rekeyed).toMatchObject({ exitCode: 0 });
    expectNoMaterial(rekeyed, [text()]);
    expect(await groups()).toEqual(twice);
    expect((await keys(['retire', 'k1'])).exitCode).toBe(0);
    const tokens = exported.map(({ token }) => token);
    const reasons = (keyset: string) =>
      openTokens(parseKeyset(keyset), [addressColumn], tokens).map((token) =>
        token.kind === 'opened' ? 'opened' : token.reason,
      );
    const last = masking === 'recoverable' ? 'opened' : 'irreversible';
    expect(reasons(text())).toEqual(tokens.map(() => last));
    const shredded = await keys(['shred', 'k1', '--yes', '--now']);

    if (masking === 'irreversible') {
      // Every token in the table is made with both keys by now.
      expect(shredded).toMatchObject({ exitCode: 2, stdout: '' });
      expect(await status()).toEqual([
        { kid: 'k1', is: 'retired', rows: 0 },
        { kid: 'k2', is: 'primary', rows: 10 },
      ]);
      return;
    }
    expect(shredded.exitCode).toBe(0);
    expect(await status()).toEqual([{ kid: 'k2', is: 'primary', rows: 10 }]);
    expect(reasons(text())).toEqual(tokens.map(() => 'unknown_key'));
    expect((await keys(['add', 'k1'])).exitCode).toBe(2);
    expect((await readTrail(database)).map(({ action }) => action)).toEqual([
      'keys add',
      'keys promote',
      'rekey',
      'keys retire',
      'keys shred',
    ]);
  });
});

describe('an instance that follows its queue', () => {
  it('makes tokens with the new key as soon as the file says so', async () => {
    const cli = createCli();
    const dataDir = join(cli.directory, 'data');
    const input = join(cli.directory, 'input.jsonl');
    writeFileSync(input, `${JSON.stringify(loginEvent())}\n`);
    const running = cli.start(['run', '--follow', '--data-dir', dataDir, '--input', input]);
    await running.shows('ingested 1/1');
    const keys = (...args: string[]) => cli.run(['keys', ...args, '--data-dir', dataDir]);

    await keys('add', '--reason', REASON);
    await keys('promote', 'k2', '--now', '--reason', REASON);
    await cli.run(['send', input, '--data-dir', dataDir]);

    const listed = await vi.waitFor(
      async () => {
        const listed = await keys('list', '--json');
        expect(listed.json()).toMatchObject({
          keys: [
            { kid: 'k1', status: 'old', rows: { s1: 1 } },
            { kid: 'k2', status: 'primary', rows: { s1: 1 } },
          ],
        });
        return listed;
      },
      { timeout: 20_000, interval: 100 },
    );
    running.child.kill('SIGTERM');
    expectNoMaterial(listed, [readFileSync(join(dataDir, 'keyset.json'), 'utf8')]);
    expectNoMaterial(await running.result, [readFileSync(join(dataDir, 'keyset.json'), 'utf8')]);
  });
});
