import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { withClient } from '../../lambda/postgres/connection.ts';
import { migrate } from '../../lambda/postgres/schema/schema.ts';
import { CALLER, secretArn, useAwsServer } from '../support/aws-server.ts';
import { useCli } from '../support/cli.ts';
import { useDatabase } from '../support/database.ts';
import { useFunctions } from '../support/function.ts';
import { startProxy } from '../support/proxy.ts';
import { KEYSET_JSON } from '../support/records.ts';
import {
  access,
  dropRole,
  expectNothingShown,
  IP,
  KEYS,
  personStore,
  roleUrl,
  trail,
} from '../support/recovery.ts';
import { uniqueRoles } from '../support/roles.ts';

const aws = useAwsServer();
const database = useDatabase();
const createCli = useCli();
const store = personStore(database, useFunctions());

function recover(args: readonly string[], input = '') {
  return createCli().run(['recover', ...access(database.url), ...args], { ...KEYS, input });
}

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

    await expectNothingShown(database, result);
    expect(result.stderr).toContain(message);
    expect(await trail(database)).toEqual([]);
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

    await expectNothingShown(database, result);
    expect(result.stderr).toContain('the audit trail pii_audit cannot be written (42P01); run the migration');
  });

  it('where the role may not write the audit trail', async () => {
    const { ip } = await store();
    const url = await roleUrl(database, 'SELECT ON user_logins, pii_audit');

    const result = await createCli().run(['recover', ...access(url), ip], KEYS);

    await expectNothingShown(database, result);
    expect(result.stderr).toContain('(42501); log in as a role that may append to it');
    expect(await trail(database)).toEqual([]);
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

        await expectNothingShown(database, result);
        expect(result.stderr).toContain('the audit trail pii_audit cannot be written (');
        expect(await trail(database)).toHaveLength(when.startsWith('before') ? 0 : 1);
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
    expect(await trail(database)).toMatchObject([{ action: 'recover' }, { action: 'lookup' }]);
  } finally {
    const all = Object.values(roles).join(', ');
    await database.client.query(`DROP OWNED BY ${all}; DROP ROLE ${all}`);
  }
});

it('nothing is recovered where standard output is closed', async () => {
  const { ip } = await store();
  const cli = new URL('../../bin/vizard.ts', import.meta.url).pathname;
  const command = [process.execPath, cli, 'recover', ...access(database.url), ip];
  const quoted = command.map((word) => `'${word}'`).join(' ');
  const env = { PATH: process.env.PATH, ...KEYS.env };
  const run = async (to: string) =>
    (await once(spawn('sh', ['-c', `${quoted} ${to}`], { env, stdio: 'ignore' }), 'exit'))[0] as number;

  expect(await run('>&-')).toBe(2);
  expect(await trail(database)).toEqual([]);
  expect(await run('> /dev/null')).toBe(0);
});

it('says of an instance that throws its keyset away how to keep it', async () => {
  const cli = createCli();
  const running = cli.start(['run', '--follow', '--input', '/dev/null']);
  await running.shows('database ');

  const { exitCode, stderr } = await cli.run(['recover', '--reason', 'SUP-1', 'x']);
  running.child.kill('SIGTERM');
  await running.result;

  expect(exitCode).toBe(2);
  expect(stderr).toContain('throws its own away when it ends; start it with --data-dir');
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

  expect(await trail(database)).toHaveLength(1);
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
    expect((await trail(database)).map(({ who }) => who)).toEqual([CALLER, CALLER]);
  });

  it('nobody without an identity is shown anything', async () => {
    const { ip } = await store();
    aws.secrets.set(ARN, KEYSET_JSON);
    aws.caller.arn = { error: 'AccessDenied' };

    const result = await run(ip, {}, '--keyset-secret', ARN);

    await expectNothingShown(database, result);
    expect(result.stderr).toContain('AWS does not say who you are (AccessDenied)');
    expect(aws.requests).not.toContain(`GetSecretValue ${ARN}`);
  });
});
