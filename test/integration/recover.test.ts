import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { hostname, userInfo } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { parseKeyset } from '../../lambda/masking/keyset.ts';
import { type AuditRow, digestOf } from '../../lambda/postgres/audit.ts';
import { withClient } from '../../lambda/postgres/connection.ts';
import { migrate } from '../../lambda/postgres/schema.ts';
import { CALLER, secretArn, useAwsServer } from '../support/aws-server.ts';
import { useCli } from '../support/cli.ts';
import { useDatabase } from '../support/database.ts';
import { useFunctions } from '../support/function.ts';
import { startProxy } from '../support/proxy.ts';
import { KEYSET_JSON, loginEvent, record } from '../support/records.ts';
import { access, auditText, dropRole, KEYS, REASON, roleUrl } from '../support/recovery.ts';
import { uniqueRoles } from '../support/roles.ts';

const database = useDatabase();
const createCli = useCli();
const createFunction = useFunctions();
const aws = useAwsServer();

const K2_FIRST = parseKeyset(JSON.stringify({ ...JSON.parse(KEYSET_JSON), primary: 'k2' }));
const IP = '203.0.113.77';
const DEVICE = 'CANARY-DEVICE-1';

interface Written {
  readonly ip: string;
  readonly device: string;
}

interface Options {
  readonly masking?: 'irreversible';
  readonly primary?: 'k2';
}

/** Lets the handler store an event. @returns its tokens */
async function store(
  event: Record<string, unknown> = {},
  { masking, primary }: Options = {},
): Promise<Written> {
  const user = `user ${Math.random()}`;
  const { invoke } = createFunction({
    databaseUrl: database.url,
    ...(masking && { masking }),
    ...(primary && { keysetSource: () => Promise.resolve(K2_FIRST) }),
  });
  expect(await invoke([record(loginEvent({ user_id: user, ip: IP, device_id: DEVICE, ...event }))])).toEqual(
    [],
  );
  const [row] = await database.rows<Written>(
    'SELECT masked_ip AS ip, masked_device_id AS device FROM user_logins WHERE user_id = $1',
    [user],
  );
  return row!;
}

function recover(args: readonly string[], input = '') {
  return createCli().run(['recover', ...access(database.url), ...args], { ...KEYS, input });
}

function trail(): Promise<AuditRow[]> {
  return database.rows<AuditRow>('SELECT * FROM pii_audit ORDER BY number');
}

async function expectNothingShown({
  stdout,
  stderr,
  exitCode,
}: Awaited<ReturnType<typeof recover>>): Promise<void> {
  expect({ stdout, exitCode }).toEqual({ stdout: '', exitCode: 2 });
  expect(stderr).toMatch(/^vizard: [^\n]+\n$/);
  expectNothingPlanted(stderr + (await auditText(database)));
}

function expectNothingPlanted(written: string): void {
  expect(/CANARY|203\.0\.113/.test(written), 'a planted value was written').toBe(false);
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
    expect(await trail()).toMatchObject([
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
      'token 5: was made with a key that is not in the keyset (k9)',
      'token 6: is no token',
      '',
    ]);
    const [, row] = await trail();
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
    expect(await trail()).toMatchObject([{ count: '2' }]);
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
    for (const source of [three, ['--file', '-'], ['--query', query, '--column', 'masked_ip']]) {
      const result = await recover([...source, '--limit', '2'], three.join('\n'));

      await expectNothingShown(result);
      expect(result.stderr).toContain('expected at most 2 tokens, got more; nothing was opened');
    }
    expect(await trail()).toEqual([]);
    expect((await recover([...three, '--limit', '3'])).exitCode).toBe(0);
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
    expect(await trail()).toEqual([]);
  });
});

describe('nothing is shown, in one line,', () => {
  it.each<[string, string[], string]>([
    ['without a token', [], 'expected tokens from one source, got none'],
    ['with two sources', ['x', '--file', '-'], 'expected tokens from one source, got 2'],
    ['with a query alone', ['--query', 'SELECT 1'], '--query and --column need each other'],
    [
      'of a file that is not there',
      ['--file', '/nowhere/f'],
      'input file /nowhere/f cannot be read (ENOENT)',
    ],
    [
      'of a query that is none',
      ['--query', `CANARY '203.0.113.1'`, '--column', 'x'],
      '--query failed (42601)',
    ],
    ['of two queries', ['--query', 'SELECT 1 AS x; SELECT 2', '--column', 'x'], '--query failed (42601)'],
    [
      'of a query that ends its transaction',
      ['--query', 'SELECT 1 AS x; COMMIT; DELETE FROM user_logins', '--column', 'x'],
      '--query failed (42601)',
    ],
    [
      'of a query that writes',
      ['--query', 'SELECT lo_create(0)::text AS x', '--column', 'x'],
      '--query failed (25006); it may only read',
    ],
    [
      'of a column that is not there',
      ['--query', 'SELECT 1 AS y', '--column', 'x'],
      'none of that name among 1',
    ],
    ['of a column of numbers', ['--query', 'SELECT 1 AS x', '--column', 'x'], 'expected text, got a number'],
    [
      'of a query whose error quotes a value',
      ['--query', `SELECT 'CANARY'::int::text AS x`, '--column', 'x'],
      '--query failed (22P02)',
    ],
    [
      'for a reason with an address',
      ['x', '--reason', `he had ${IP}`],
      '--reason: expected no personal data',
    ],
    ['for an empty reason', ['x', '--reason', ' '], '--reason: expected 1 to 500 characters'],
    [
      'with another keyset than a keyset',
      ['x', '--keyset', '/dev/null'],
      'keyset file /dev/null: expected a JSON',
    ],
  ])('%s', async (_when, args, message) => {
    await store();

    const result = await recover(args);

    await expectNothingShown(result);
    expect(result.stderr).toContain(message);
    expect(await trail()).toEqual([]);
    expect(await database.count()).toBe(1);
  });

  it('without a reason', async () => {
    const { exitCode, stdout, stderr } = await createCli().run(['recover', 'x'], KEYS);

    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toContain(`required option '--reason <text>' not specified`);
  });

  it('where there is no audit trail', async () => {
    const { ip } = await store();
    await database.client.query('ALTER TABLE pii_audit RENAME TO set_aside');

    const result = await recover([ip]).finally(() =>
      database.client.query('ALTER TABLE set_aside RENAME TO pii_audit'),
    );

    await expectNothingShown(result);
    expect(result.stderr).toContain('the audit trail pii_audit cannot be written (42P01); run the migration');
  });

  it('where the role may not write the audit trail', async () => {
    const { ip } = await store();
    const url = await roleUrl(database, 'SELECT ON user_logins, pii_audit');

    const result = await createCli().run(['recover', ...access(url), ip], KEYS);

    await expectNothingShown(result);
    expect(result.stderr).toContain('(42501); log in as a role that may append to it');
    expect(await trail()).toEqual([]);
    await dropRole(database, url);
  });

  it.each(['before it commits', 'after it has committed'])(
    'where the connection is lost %s',
    async (when) => {
      const { ip } = await store();
      const proxy = await startProxy(database.url);
      try {
        const held = proxy.hold('COMMIT\0');
        const running = createCli().start(['recover', ...access(proxy.url), ip], KEYS);
        const message = await held;
        if (when.startsWith('before')) proxy.cut();
        else await message.loseAnswer();

        const result = await running.result;

        await expectNothingShown(result);
        expect(result.stderr).toContain('the audit trail pii_audit cannot be written (');
        expect(await trail()).toHaveLength(when.startsWith('before') ? 0 : 1);
      } finally {
        proxy.close();
      }
    },
  );

  it.each(['SIGINT', 'SIGKILL'] as const)('when %s comes before the trail has it', async (signal) => {
    const { ip } = await store();
    const proxy = await startProxy(database.url);
    try {
      const held = proxy.hold('COMMIT\0');
      const running = createCli().start(['recover', ...access(proxy.url), ip], KEYS);
      await held;
      running.child.kill(signal);

      expect((await running.result).stdout).toBe('');
    } finally {
      proxy.close();
    }
  });
});

it('the role for recovery on RDS may recover and look up, and that is on record', async () => {
  const { ip } = await store();
  const roles = uniqueRoles();
  await withClient(database.login, (client) => migrate(client, loginEvents, { roles }));
  try {
    const url = `${database.url}?options=${encodeURIComponent(`-c role=${roles.recovery}`)}`;
    const run = (...args: string[]) => createCli().run([...args, ...access(url)], KEYS);

    const recovered = await run(
      'recover',
      '--query',
      'SELECT masked_ip FROM user_logins',
      '--column',
      'masked_ip',
    );
    const found = await run('lookup', '--ip', IP, '--json');

    expect(recovered).toMatchObject({ exitCode: 0, stdout: `${ip}\t${IP}\n`, stderr: '' });
    expect(found.json()).toMatchObject({ total: 1 });
    expect(await trail()).toMatchObject([{ action: 'recover' }, { action: 'lookup' }]);
  } finally {
    const all = Object.values(roles).join(', ');
    await database.client.query(`DROP OWNED BY ${all}; DROP ROLE ${all}`);
  }
});

it('what nobody reads any more is in the trail all the same', async () => {
  const { ip } = await store();
  const cli = new URL('../../bin/vizard.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [cli, 'recover', ...access(database.url), ip], {
    env: { PATH: process.env.PATH, ...KEYS.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.stdout.destroy();
  child.stderr.destroy();
  await once(child, 'exit');

  expect(await trail()).toHaveLength(1);
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

describe('with a keyset in Secrets Manager', () => {
  const ARN = secretArn('keyset');
  const run = (ip: string, env: Record<string, string>, ...options: string[]) =>
    createCli().run(['recover', ...access(database.url), ip, ...options], { env: { ...aws.env(), ...env } });

  it('the trail has the identity that AWS knows', async () => {
    const { ip } = await store();
    aws.secrets.set(ARN, KEYSET_JSON);

    const named = await run(ip, {}, '--keyset-secret', ARN);
    const set = await run(ip, { MASKING_KEYSET_SECRET_ARN: ARN });

    expect([named.stdout, set.stdout]).toEqual([`${ip}\t${IP}\n`, `${ip}\t${IP}\n`]);
    expect((await trail()).map(({ who }) => who)).toEqual([CALLER, CALLER]);
  });

  it('nobody without an identity is shown anything', async () => {
    const { ip } = await store();
    aws.secrets.set(ARN, KEYSET_JSON);
    aws.caller.arn = { error: 'AccessDenied' };

    const result = await run(ip, {}, '--keyset-secret', ARN);

    await expectNothingShown(result);
    expect(result.stderr).toContain('AWS does not say who you are (AccessDenied)');
    expect(aws.requests).not.toContain(`GetSecretValue ${ARN}`);
  });
});
