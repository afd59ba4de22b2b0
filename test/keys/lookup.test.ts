import { describe, expect, it } from 'vitest';
import { loginEventsWith } from '../../lambda/events/login-event.ts';
import { digestOf, withAudit } from '../../lambda/postgres/audit/audit.ts';
import { withClient } from '../../lambda/postgres/connection.ts';
import { useCli } from '../support/cli.ts';
import { useDatabase } from '../support/database.ts';
import { useFunctions } from '../support/function.ts';
import { KEYSET_JSON, loginEvent, record } from '../support/records.ts';
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
const createFunction = useFunctions();
const store = personStore(database, createFunction);

function lookup(args: readonly string[], input = '') {
  return createCli().run(['lookup', ...access(database.url), ...args], { ...KEYS, input });
}

/** The users whose rows are found. */
async function found(...args: string[]): Promise<unknown[]> {
  const { json, exitCode } = await lookup(['--json', ...args]);
  expect(exitCode).toBe(0);
  const { rows, total } = json() as { rows: { user_id: string }[]; total: number };
  expect(total).toBe(rows.length);
  return rows.map(({ user_id }) => user_id).toSorted();
}

describe('vizard lookup', () => {
  it('finds rows of every key and both schemes, by every spelling of a value', async () => {
    await store({ user_id: 'k1' });
    await store({ user_id: 'k2' }, { primary: 'k2' });
    await store({ user_id: 'h1' }, { masking: 'irreversible' });
    await store({ user_id: 'other', ip: '192.0.2.1', device_id: 'another' });

    for (const spelling of [IP, '2001:0DB8:0:0:0:0:0:CA7A', ' 2001:db8:0::ca7a ']) {
      expect(await found('--ip', spelling)).toEqual(['h1', 'k1', 'k2']);
    }
    expect(await found('--device-id', ` ${DEVICE} `)).toEqual(['h1', 'k1', 'k2']);
    expect(await found('--ip', '::ffff:192.0.2.1')).toEqual(['other']);
  });

  it('finds the rows that have all of several values', async () => {
    await store({ user_id: 'both' });
    await store({ user_id: 'ip', device_id: 'another' });
    await store({ user_id: 'device', ip: '192.0.2.1' });

    expect(await found('--ip', IP, '--device-id', DEVICE)).toEqual(['both']);
  });

  it('finds nobody by the network of somebody else', async () => {
    await database.client.query('ALTER TABLE user_logins ADD COLUMN masked_ip_network varchar(256)');
    try {
      const declaration = loginEventsWith({ ipNetwork: true });
      const { invoke } = createFunction({ databaseUrl: database.url, declaration });
      const one = record(loginEvent({ user_id: 'one', ip: '203.0.113.1' }));
      const two = record(loginEvent({ user_id: 'two', ip: '203.0.113.2' }));
      expect(await invoke([one, two])).toEqual([]);

      const { json } = await lookup(['--json', '--ip', '203.0.113.1']);

      expect(json()).toMatchObject({
        total: 1,
        rows: [{ user_id: 'one', masked_ip_network: expect.stringMatching(/^s1~k1~/) }],
      });
    } finally {
      await database.client.query('ALTER TABLE user_logins DROP COLUMN masked_ip_network');
    }
  });

  it('reads a value from standard input, where no shell remembers it', async () => {
    await store({ user_id: 'k1' });

    const { json } = await lookup(['--json', '--device-id', '-'], `${DEVICE}\n`);

    expect(json()).toMatchObject({ total: 1 });
  });

  it('shows the rows as they are in the table, tokens included, and as many as the limit', async () => {
    for (const user of ['a', 'b', 'c']) await store({ user_id: `\u001b[31m${user}` });
    const [row] = await database.rows('SELECT * FROM user_logins');

    const text = await lookup(['--ip', IP, '--limit', '2']);
    const json = await lookup(['--json', '--ip', IP, '--limit', '2']);

    expect(text.stdout).toMatch(/^user_logins: 2 of 3 rows\n/);
    expect(text.stdout).toContain(String(row!.masked_ip));
    expect(text.stdout).toContain('\\u001b[31m');
    expect(json.json()).toMatchObject({ total: 3, audit: { number: 2 } });
    expect((json.json() as { rows: unknown[] }).rows).toHaveLength(2);
    expect((json.json() as { rows: object[] }).rows[0]).toMatchObject({
      masked_ip: row!.masked_ip,
      create_date: '2023-11-14',
      app_version: row!.app_version,
    });
    expect(text.stdout + json.stdout).not.toContain('\u001b');
    expect(await trail(database)).toMatchObject([{ count: '3' }, { count: '3' }]);
  });

  it('says clearly that there are none', async () => {
    await store();

    expect(await lookup(['--ip', '192.0.2.99'])).toMatchObject({
      exitCode: 0,
      stdout: 'user_logins: no rows\n',
      stderr: '',
    });
  });

  it('is in the trail, whatever it finds, and the trail does not say whom', async () => {
    await store();
    const { stderr } = await lookup(['--ip', IP]);
    await lookup(['--device-id', 'CANARY-nobody']);

    const digests = (await trail(database)).map(({ digest }) => digest);
    expect(await trail(database)).toMatchObject([
      { action: 'lookup', reason: REASON, columns: ['masked_ip'], kids: ['k1', 'k2'], count: '1' },
      { action: 'lookup', reason: REASON, columns: ['masked_device_id'], kids: ['k1', 'k2'], count: '0' },
    ]);
    expect(new Set(digests).size).toBe(2);
    expectNothingPlanted(stderr + (await auditText(database)));
  });

  it.each<[string, string[], string]>([
    ['no value', [], 'expected a value to look for, got none; give --ip or --device-id'],
    [
      'an address that is none',
      ['--ip', 'CANARY'],
      'as events have it in ip, got one that is refused there (format)',
    ],
    ['an empty device', ['--device-id', ' '], 'in device_id, got one that is refused there (empty)'],
    ['a device that no event can have', ['--device-id', 'CANARY'.repeat(40)], '(too_long)'],
    ['two values from standard input', ['--ip', '-', '--device-id', '-'], 'got - twice'],
    [
      'a reason that says the value',
      ['--device-id', DEVICE, '--reason', `of canary-device-1`],
      'got the value of --device-id',
    ],
    [
      'a reason that spells the value otherwise',
      ['--device-id', DEVICE, '--reason', 'of canary_device 1'],
      'got the value of --device-id',
    ],
    ['no keyset', ['--ip', IP, '--keyset', '/nowhere/k'], 'keyset file /nowhere/k cannot be read (ENOENT)'],
  ])('with %s shows nothing, in one line that quotes no value', async (_what, args, message) => {
    const result = await lookup(args);

    await expectNothingShown(database, result);
    expect(result.stderr).toContain(message);
    expect(await trail(database)).toEqual([]);
  });

  it.each([
    ['another key of a name', JSON.stringify({ primary: 'k1', k1: 'x'.repeat(43) }), '(wrong_key)'],
    [
      'only some of the keys',
      JSON.stringify({ primary: 'k9', k9: 'x'.repeat(43) }),
      'got none of the name k1',
    ],
  ])(
    'with a keyset of %s refuses, in place of passing rows over; so does erase',
    async (_what, text, message) => {
      await store();
      for (const command of [['lookup'], ['erase', '--yes'], ['erase', '--dry-run']]) {
        const result = await createCli().run([...command, ...access(database.url), '--ip', IP], {
          env: { MASKING_KEYSET: text },
        });

        await expectNothingShown(database, result);
        expect(result.stderr).toContain(message);
      }
      expect(await trail(database)).toEqual([]);
      expect(await database.count()).toBe(1);
    },
  );

  it('says which rows it could not search, because their key was shredded; so does erase', async () => {
    await store({ user_id: 'k1' });
    await store({ user_id: 'k2' }, { primary: 'k2' });
    const act = { who: 'a', reason: 'b', action: 'keys shred', columns: [], kids: ['k2'], count: 0 } as const;
    await withClient(database.login, (client) =>
      withAudit(client, { ...act, digest: digestOf([]) }, () => {}),
    );
    const { k1 } = JSON.parse(KEYSET_JSON) as { k1: string };
    const env = { MASKING_KEYSET: JSON.stringify({ primary: 'k1', k1 }) };

    for (const [command, expected] of [
      [['lookup'], { total: 1 }],
      [['erase', '--yes'], { erased: 1 }],
    ] as const) {
      const result = await createCli().run([...command, ...access(database.url), '--ip', IP, '--json'], {
        env,
      });

      expect(result.exitCode).toBe(1);
      expect(result.json()).toMatchObject({ ...expected, unsearched: ['k2'] });
      expect(result.stderr).toMatch(/^user_logins has rows under keys that were shredded \(k2\)/m);
    }
  });

  it('says what takes long', async () => {
    await store();
    await withClient(database.login, async (other) => {
      await other.query('BEGIN; LOCK TABLE user_logins');
      const running = createCli().start(['lookup', ...access(database.url), '--ip', IP, '--json'], KEYS);
      await running.shows('reading the whole table');
      await other.query('COMMIT');

      expect((await running.result).json()).toMatchObject({ total: 1 });
    });
  });

  it('shows nothing where the trail cannot be written', async () => {
    await store();
    await database.client.query('ALTER TABLE pii_audit RENAME TO set_aside');

    const { exitCode, stdout, stderr } = await lookup(['--ip', IP]).finally(() =>
      database.client.query('ALTER TABLE set_aside RENAME TO pii_audit'),
    );

    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toMatch(/^vizard: the audit trail pii_audit cannot be written \(42P01\)[^\n]+\n$/);
  });
});
