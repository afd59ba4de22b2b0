import { writeFileSync } from 'node:fs';
import { hostname, userInfo } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { digestOf } from '../../lambda/postgres/audit/audit.ts';
import { useCli } from '../support/cli.ts';
import { useDatabase } from '../support/database.ts';
import { useFunctions } from '../support/function.ts';
import { loginEvent } from '../support/records.ts';
import {
  access,
  auditText,
  DEVICE,
  expectNothingPlanted,
  expectNothingShown,
  IP,
  KEYS,
  personStore,
  REASON,
  trail,
} from '../support/recovery.ts';

const database = useDatabase();
const createCli = useCli();
const store = personStore(database, useFunctions());

function recover(args: readonly string[], input = '') {
  return createCli().run(['recover', ...access(database.url), ...args], { ...KEYS, input });
}

describe('vizard recover', () => {
  it('shows what stands behind tokens of any masked column and key, in their order', async () => {
    const first = await store();
    const second = await store({ ip: '2001:DB8::00:7', device_id: ' Zürich ' }, { primary: 'k2' });
    const tokens = [second.device, first.ip, second.ip, first.device, first.ip];

    const { exitCode, stdout, stderr } = await recover(tokens);

    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(stdout.split('\n')).toEqual([
      `${second.device}\tZürich`,
      `${first.ip}\t${IP}`,
      `${second.ip}\t2001:db8::7`,
      `${first.device}\t${DEVICE}`,
      `${first.ip}\t${IP}`,
      '',
    ]);
    expect(await trail(database)).toMatchObject([
      {
        number: '1',
        who: `${userInfo().username}@${hostname()}`,
        action: 'recover',
        reason: REASON,
        columns: ['masked_device_id', 'masked_ip'],
        kids: ['k1', 'k2'],
        count: '5',
        digest: digestOf(tokens),
      },
    ]);
    expectNothingPlanted(await auditText(database));
  });

  it('reports what it cannot recover one by one, and the rest is shown', async () => {
    const { ip, device } = await store();
    const irreversible = await store({}, { masking: 'irreversible' });
    const altered = `${ip.slice(0, 8)}${ip[8] === 'A' ? 'B' : 'A'}${ip.slice(9)}`;
    const unknown = ip.replace('~k1~', '~k9~');
    const asked = [device, IP, irreversible.ip, altered, unknown, '', ip];

    const text = await recover(asked);
    const json = await recover(['--json', ...asked]);

    expect(text.exitCode).toBe(1);
    expect(text.stdout).toBe(`${device}\t${DEVICE}\n${ip}\t${IP}\n`);
    expect(text.stderr.split('\n')).toEqual([
      'token 2: is no token',
      'token 3: was made irreversibly: nobody recovers it, look a known value up with `vizard lookup`',
      'token 4: was altered, or made for another table, or with another key of the same name',
      'token 5: was made with a key that is not in the keyset: nobody recovers it without that key (k9)',
      'token 6: is no token',
      '',
    ]);
    const [, row] = await trail(database);
    expect(json.json()).toEqual({
      recovered: [
        { token: device, column: 'masked_device_id', value: DEVICE },
        { token: ip, column: 'masked_ip', value: IP },
      ],
      failed: [
        { position: 2, reason: 'not_a_token' },
        { position: 3, reason: 'irreversible' },
        { position: 4, reason: 'altered' },
        { position: 5, reason: 'unknown_key' },
        { position: 6, reason: 'not_a_token' },
      ],
      audit: { number: 2, hash: row!.hash },
    });
    expect(row).toMatchObject({ count: '7', kids: ['k1', 'k9'], digest: digestOf(asked) });
    expectNothingPlanted(text.stderr + json.stderr + (await auditText(database)));
  });

  it.each(['tokens.txt', '-'])('takes a file, one token a line: %s', async (name) => {
    const { ip, device } = await store();
    const lines = `\uFEFF${ip}\r\n\n  ${device} \n${IP}\n`;
    const cli = createCli();
    if (name !== '-') writeFileSync(join(cli.directory, name), lines);

    const { exitCode, stdout, stderr } = await cli.run(['recover', ...access(database.url), '--file', name], {
      ...KEYS,
      input: lines,
    });

    expect({ exitCode, stdout, stderr }).toEqual({
      exitCode: 1,
      stdout: `${ip}\t${IP}\n${device}\t${DEVICE}\n`,
      stderr: 'line 4: is no token\n',
    });
  });

  it('takes a column of a query', async () => {
    const { ip } = await store();
    const query = `SELECT NULL AS t UNION ALL SELECT masked_ip FROM user_logins UNION ALL SELECT 'CANARY' -- end;`;

    const { exitCode, stdout, stderr } = await recover(['--query', query, '--column', 't']);

    expect({ exitCode, stdout, stderr }).toEqual({
      exitCode: 1,
      stdout: `${ip}\t${IP}\n`,
      stderr: 'row 3: is no token\n1 row has NULL and no token\n',
    });
    expect(await trail(database)).toMatchObject([{ count: '2' }]);
  });

  it('shows control characters escaped, so that no terminal obeys a value', async () => {
    const value = '\u001b]0;CANARY\u0007\u009b31m\\x';
    const { device } = await store({ device_id: value });

    const text = await recover([device]);
    const json = await recover(['--json', device]);

    expect(text.stdout).toBe(`${device}\t\\u001b]0;CANARY\\u0007\\u009b31m\\\\x\n`);
    expect(json.stdout.trimEnd()).not.toMatch(/\p{Cc}/u);
    expect(json.json()).toMatchObject({ recovered: [{ value }] });
  });

  it('asked for more than the limit opens nothing and says what to do', async () => {
    const { ip } = await store();
    const three = [ip, ip, ip];
    const query = 'SELECT masked_ip FROM user_logins, generate_series(1, 5000)';
    const nulls = ['--query', 'SELECT NULL AS t FROM generate_series(1, 3)', '--column', 't'];
    for (const source of [nulls, three, ['--file', '-'], ['--query', query, '--column', 'masked_ip']]) {
      const result = await recover([...source, '--limit', '2'], three.join('\n'));

      await expectNothingShown(database, result);
      expect(result.stderr).toMatch(/expected at most 2 (tokens|rows), got more; nothing was opened/);
    }
    expect(await trail(database)).toEqual([]);
    expect((await recover([...three, '--limit', '3'])).exitCode).toBe(0);
  });

  it('opens a hundred at most where nobody raises the limit', async () => {
    const many = Array.from({ length: 101 }, () => 'x');

    const result = await recover(many);

    await expectNothingShown(database, result);
    expect(result.stderr).toContain('expected at most 100 tokens, got more; nothing was opened');
    expect(await recover(many.slice(1))).toMatchObject({ exitCode: 1, stdout: '' });
    expect(await trail(database)).toMatchObject([{ count: '100' }]);
  });

  it('gives each step of a query a minute', async () => {
    const query = `SELECT 'x' AS t WHERE current_setting('statement_timeout') = '1min'`;

    const { stdout } = await recover(['--query', query, '--column', 't', '--dry-run']);

    expect(stdout).toContain('would ask for 1 token\n');
  });

  it('says with --dry-run what it would ask for, opens nothing and needs no key', async () => {
    const { ip } = await store();
    const { device } = await store({}, { masking: 'irreversible', primary: 'k2' });

    const { exitCode, json, stdout } = await createCli().run([
      'recover',
      ...access(database.url),
      '--dry-run',
      '--json',
      ip,
      device,
      ip,
      IP,
    ]);

    expect(exitCode).toBe(0);
    expect(json()).toEqual({
      dryRun: true,
      asked: 4,
      kinds: [
        { kind: 'h1~k2', count: 1 },
        { kind: 'no token', count: 1 },
        { kind: 's1~k1', count: 2 },
      ],
      nulls: 0,
    });
    expectNothingPlanted(stdout);
    expect(await trail(database)).toEqual([]);
  });
});

describe('on what is kept in a directory', () => {
  it('finds database and keyset there, running or not, and the trail stays with them', async () => {
    const cli = createCli();
    const dataDir = join(cli.directory, 'data');
    const input = join(cli.directory, 'input.jsonl');
    writeFileSync(input, JSON.stringify(loginEvent({ ip: IP })));
    await cli.run(['run', '--json', '--data-dir', dataDir, '--input', input]);
    const query = ['--query', 'SELECT masked_ip FROM user_logins', '--column', 'masked_ip'];

    const recovered = await cli.run(['recover', '--reason', REASON, '--data-dir', dataDir, ...query]);
    const running = cli.start(['run', '--follow', '--data-dir', dataDir, '--input', '/dev/null']);
    await running.shows('database ');
    const erased = await cli.run(['erase', '--reason', REASON, '--data-dir', dataDir, '--ip', IP, '--yes']);
    const list = await cli.run(['audit', 'list', '--json', '--data-dir', dataDir]);
    running.child.kill('SIGTERM');
    await running.result;

    expect(recovered.stdout).toMatch(new RegExp(`^s1~k1~[^\\t]+\\t${IP}\\n$`));
    expect(erased.stdout).toBe('erased 1 row\n');
    expect(list.json()).toMatchObject({ rows: [{ action: 'erase' }, { action: 'recover' }] });
  });

  it('finds a database by DATABASE_URL where no instance runs', async () => {
    const { ip } = await store();

    const { stdout } = await createCli().run(['recover', '--reason', REASON, ip], {
      env: { ...KEYS.env, DATABASE_URL: database.url },
    });

    expect(stdout).toBe(`${ip}\t${IP}\n`);
  });
});
