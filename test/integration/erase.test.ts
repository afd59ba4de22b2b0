import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import { eraseRows } from '../../bin/commands/erase/erase-rows.ts';
import { seek, soughtUnder } from '../../bin/keys/known-person.ts';
import { parseAddress } from '../../lambda/events/address.ts';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { parseKeyset } from '../../lambda/masking/keyset.ts';
import type { AuditRow } from '../../lambda/postgres/audit.ts';
import { withClient } from '../../lambda/postgres/connection.ts';
import type { Day } from '../../lambda/postgres/partition-days.ts';
import { migrate } from '../../lambda/postgres/schema.ts';
import { useCli } from '../support/cli.ts';
import { useDatabase } from '../support/database.ts';
import { type FunctionOptions, keyset, useFunctions } from '../support/function.ts';
import { A_DAY, keep, TODAY } from '../support/partitions.ts';
import { startProxy } from '../support/proxy.ts';
import { KEYSET_JSON, loginEvent, record } from '../support/records.ts';
import { access, auditText, dropRole, KEYS, REASON, roleUrl } from '../support/recovery.ts';
import { uniqueRoles } from '../support/roles.ts';

const database = useDatabase();
const createCli = useCli();
const createFunction = useFunctions();

const K2_FIRST = parseKeyset(JSON.stringify({ ...JSON.parse(KEYSET_JSON), primary: 'k2' }));
const IP = '2001:db8::ca7a';
const DEVICE = 'CANARY-DEVICE-1';

/** Lets the handler store an event. */
async function store(event: Record<string, unknown>, options: Partial<FunctionOptions> = {}): Promise<void> {
  const { invoke } = createFunction({ databaseUrl: database.url, ...options } as FunctionOptions);
  const body = loginEvent({ ip: IP, device_id: DEVICE, ...event });
  expect(await invoke([record(body)])).toEqual([]);
}

/** One person under two keys and irreversibly, and two others. */
async function storePeople(): Promise<void> {
  await store({ user_id: 'k1' });
  await store({ user_id: 'k2' }, { keysetSource: () => Promise.resolve(K2_FIRST) });
  await store({ user_id: 'h1', device_id: 'another' }, { masking: 'irreversible' });
  await store({ user_id: 'same device', ip: '192.0.2.1' });
  await store({ user_id: 'other', ip: '192.0.2.2', device_id: 'third' });
}

function erase(args: readonly string[], url = database.url) {
  return createCli().run(['erase', ...access(url), ...args], KEYS);
}

async function users(condition = 'true'): Promise<string[]> {
  const rows = await database.rows<{ user_id: string }>(
    `SELECT user_id FROM user_logins WHERE ${condition} ORDER BY user_id COLLATE "C"`,
  );
  return rows.map(({ user_id }) => user_id);
}

function trail(): Promise<AuditRow[]> {
  return database.rows<AuditRow>('SELECT * FROM pii_audit ORDER BY number');
}

const ALL = ['h1', 'k1', 'k2', 'other', 'same device'];

describe('vizard erase', () => {
  it('deletes the rows of a person under every key and in both schemes, and no others', async () => {
    await storePeople();

    const { exitCode, stdout, stderr } = await erase(['--ip', IP, '--yes']);

    expect({ exitCode, stdout, stderr }).toEqual({ exitCode: 0, stdout: 'erased 3 rows\n', stderr: '' });
    expect(await users()).toEqual(['other', 'same device']);
    expect(await trail()).toMatchObject([
      { action: 'erase', reason: REASON, columns: ['masked_ip'], kids: ['k1', 'k2'], count: '3' },
    ]);
    expect(await auditText(database)).not.toMatch(/CANARY|db8/i);
  });

  it('deletes only rows that have all of several values', async () => {
    await storePeople();

    const { json } = await erase(['--ip', IP, '--device-id', DEVICE, '--yes', '--json']);

    const [row] = await trail();
    expect(json()).toEqual({ dryRun: false, erased: 2, audit: { number: 1, hash: row!.hash } });
    expect(await users()).toEqual(['h1', 'other', 'same device']);
  });

  it('blanks the masked columns with --blank, and the rows stay', async () => {
    await storePeople();
    const before = await database.rows(
      'SELECT user_id, device_type, locale, app_version, create_date, event_id FROM user_logins ORDER BY event_id',
    );

    const { stdout } = await erase(['--ip', IP, '--blank', '--yes']);

    expect(stdout).toBe('blanked 3 rows\n');
    expect(await users('masked_ip IS NULL AND masked_device_id IS NULL')).toEqual(['h1', 'k1', 'k2']);
    expect(await users('masked_ip IS NOT NULL AND masked_device_id IS NOT NULL')).toEqual([
      'other',
      'same device',
    ]);
    expect(
      await database.rows(
        'SELECT user_id, device_type, locale, app_version, create_date, event_id FROM user_logins ORDER BY event_id',
      ),
    ).toEqual(before);
  });

  it.each([[[]], [['--blank']]])(
    'with --dry-run %j only counts, and that is a lookup in the trail',
    async (options) => {
      await storePeople();

      const { exitCode, json } = await erase(['--ip', IP, '--dry-run', '--json', ...options]);

      expect(exitCode).toBe(0);
      expect(json()).toMatchObject({ dryRun: true, [options.length === 0 ? 'erased' : 'blanked']: 3 });
      expect(await users()).toEqual(ALL);
      expect(await trail()).toMatchObject([{ action: 'lookup', count: '3' }]);
    },
  );

  it('asks nobody where there is no terminal, and changes nothing', async () => {
    await storePeople();

    const { exitCode, stdout, stderr } = await erase(['--ip', IP]);

    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toMatch(/^vizard: erase deletes for good: expected a terminal[^\n]+\n$/);
    expect(await users()).toEqual(ALL);
    expect(await trail()).toEqual([]);
  });

  it('says that there are no rows', async () => {
    await storePeople();

    expect(await erase(['--ip', '192.0.2.99', '--yes'])).toMatchObject({ exitCode: 0, stdout: 'no rows\n' });
    expect(await users()).toEqual(ALL);
  });

  it('leaves all as it was where the trail cannot be written', async () => {
    await storePeople();
    const url = await roleUrl(
      database,
      'SELECT, DELETE ON user_logins',
      'SELECT, DELETE ON user_logins_aliases',
    );

    const { exitCode, stdout, stderr } = await erase(['--ip', IP, '--yes'], url);

    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toMatch(/^vizard: the audit trail pii_audit cannot be written \(42501\)[^\n]+\n$/);
    expect(await users()).toEqual(ALL);
    await dropRole(database, url);
  });

  it('leaves all as it was where the connection is lost before it commits', async () => {
    await storePeople();
    const proxy = await startProxy(database.url);
    try {
      const held = proxy.hold('COMMIT\0');
      const running = createCli().start(['erase', ...access(proxy.url), '--ip', IP, '--yes'], KEYS);
      await held;
      proxy.cut();
      const { exitCode, stdout, stderr } = await running.result;

      expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
      expect(stderr).toMatch(/^vizard: [^\n]+\n$/);
      expect(await users()).toEqual(ALL);
      expect(await trail()).toEqual([]);
    } finally {
      proxy.close();
    }
  });

  it('is refused while a rekey is under way', async () => {
    await storePeople();
    await withClient(database.login, async (rekey) => {
      await rekey.query(`SELECT pg_advisory_lock(hashtext('vizard rekey'))`);

      const { exitCode, stdout, stderr } = await erase(['--ip', IP, '--yes']);

      expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
      expect(stderr).toMatch(/^vizard: a rekey or a change of the keys is under way[^\n]+\n$/);
    });
    expect(await users()).toEqual(ALL);
    expect(await trail()).toEqual([]);
    expect(await erase(['--ip', IP, '--yes'])).toMatchObject({ exitCode: 0 });
  });
});

describe('of a partitioned table', () => {
  const partitioned = useDatabase({ empty: true });

  it.each([[[]], [['--blank']]])('takes the rows of every partition: %j', async (options) => {
    await partitioned.client.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public');
    await withClient(partitioned.login, (client) =>
      migrate(client, loginEvents, { partitions: { today: TODAY } }),
    );
    await keep(partitioned, TODAY, 30);
    const { invoke } = createFunction({ databaseUrl: partitioned.url });
    const days = [TODAY, TODAY + 1, TODAY - 5];
    const person = days.map((day) => record(loginEvent({ ip: IP }), at(day)));
    const others = days.map((day) => record(loginEvent({ ip: '192.0.2.1' }), at(day)));
    expect(await invoke([...person, ...others])).toEqual([]);

    const { stdout } = await erase(['--ip', IP, '--yes', ...options], partitioned.url);

    expect(stdout).toBe(`${options.length === 0 ? 'erased' : 'blanked'} 3 rows\n`);
    const [counts] = await partitioned.rows(
      `SELECT count(*)::int AS rows, count(masked_ip)::int AS masked, count(DISTINCT tableoid)::int AS partitions
       FROM user_logins`,
    );
    expect(counts).toEqual({ rows: options.length === 0 ? 3 : 6, masked: 3, partitions: 3 });
  });

  function at(day: Day) {
    return { sentTimestamp: String(day * A_DAY) };
  }
});

describe('of the roles of a database on RDS', () => {
  it('the custodian may erase and blank, the one for recovery may not', async () => {
    const roles = uniqueRoles();
    await withClient(database.login, (client) => migrate(client, loginEvents, { roles, vault: true }));
    try {
      const as = (role: string | undefined) =>
        `${database.url}?options=${encodeURIComponent(`-c role=${role}`)}`;
      await storePeople();

      const refused = await erase(['--ip', IP, '--yes'], as(roles.recovery));
      expect(refused).toMatchObject({ exitCode: 2, stdout: '' });
      expect(refused.stderr).toMatch(
        /^vizard: the database cannot be used \(42501\); log in as a role[^\n]+\n$/,
      );
      expect(await users()).toEqual(ALL);

      expect(await erase(['--ip', '192.0.2.1', '--blank', '--yes'], as(roles.custodian))).toMatchObject({
        exitCode: 0,
        stdout: 'blanked 1 row\n',
      });
      expect(await erase(['--ip', IP, '--yes'], as(roles.custodian))).toMatchObject({
        exitCode: 0,
        stdout: 'erased 3 rows\n',
      });
    } finally {
      const all = Object.values(roles).join(', ');
      await database.client.query(
        `DROP TABLE user_logins_vault, user_logins_vault_keys; DROP OWNED BY ${all}; DROP ROLE ${all}`,
      );
    }
  });
});

describe('what is kept of a token beside the table', () => {
  async function put(relation: 'aliases' | 'vault', where = 'true'): Promise<void> {
    const [name, values] =
      relation === 'aliases'
        ? ['user_logins_aliases (token, current)', `token, 'current of ' || left(token, 12)`]
        : ['user_logins_vault', 'token'];
    await database.client.query(
      `INSERT INTO ${name} SELECT ${values} FROM (SELECT DISTINCT unnest(ARRAY[masked_ip, masked_device_id]) AS token
       FROM user_logins WHERE ${where}) AS tokens`,
    );
  }

  async function tokensOf(relation: string): Promise<string[]> {
    const rows = await database.rows<{ token: string }>(`SELECT token FROM ${relation} ORDER BY 1`);
    return rows.map(({ token }) => token);
  }

  it.each([[[]], [['--blank']]])(
    'goes with its last row, and stays for rows that stay: %j',
    async (options) => {
      await database.client.query('CREATE TABLE user_logins_vault (token varchar(256) PRIMARY KEY)');
      try {
        await storePeople();
        await put('aliases');
        await put('vault');

        await erase(['--ip', IP, '--yes', ...options]);

        const left = await database.rows<{ token: string }>(
          `SELECT DISTINCT unnest(ARRAY[masked_ip, masked_device_id]) AS token FROM user_logins
         WHERE masked_ip IS NOT NULL ORDER BY 1`,
        );
        const expected = left.map(({ token }) => token);
        // The device of the erased person is that of another one as well.
        expect(expected).toHaveLength(4);
        expect(await tokensOf('user_logins_aliases')).toEqual(expected);
        expect(await tokensOf('user_logins_vault')).toEqual(expected);
      } finally {
        await database.client.query('DROP TABLE user_logins_vault; TRUNCATE user_logins_aliases');
      }
    },
  );

  it('goes even where no row has it any more', async () => {
    await store({ user_id: 'k1' });
    await put('aliases');
    await database.client.query('TRUNCATE user_logins');

    await erase(['--ip', IP, '--yes']);

    expect(await tokensOf('user_logins_aliases')).toHaveLength(1);
    await database.client.query('TRUNCATE user_logins_aliases');
  });
});

it('rows that came between the count and the deletion are not deleted unseen: nothing is', async () => {
  await storePeople();
  const sought = seek(keyset, loginEvents, [{ source: 'ip', value: parseAddress(IP)! }]);
  const person = { who: 'alice@host', reason: REASON };
  const erasure = { declaration: loginEvents, sought, person, asked: soughtUnder(keyset, sought) };

  for (const blank of [false, true]) {
    await store({ user_id: 'late' });
    const counted = (await users()).filter((user) => /^([kh]\d|late)$/.test(user)).length - 1;
    await expect(
      withClient(database.login, (client) => eraseRows(client, { ...erasure, blank }, counted)),
    ).rejects.toThrow(
      `expected the ${counted} rows that were counted, got ${counted + 1}: events came or went meanwhile; nothing was changed`,
    );
  }

  expect(await users()).toEqual(['h1', 'k1', 'k2', 'late', 'late', 'other', 'same device']);
  expect(await trail()).toEqual([]);
});

describe('vizard erase on a terminal', () => {
  const children: ChildProcess[] = [];
  afterEach(() => {
    for (const child of children.splice(0)) if (child.exitCode === null) child.kill('SIGKILL');
  });

  /** Runs it on a terminal of its own, which `script` makes, and answers its question. */
  async function answer(text: string): Promise<{ exitCode: number; shown: string }> {
    const cli = new URL('../../bin/vizard.ts', import.meta.url).pathname;
    const command = [process.execPath, cli, 'erase', ...access(database.url), '--ip', IP];
    const quoted = command.map((word) => `'${word}'`).join(' ');
    const args =
      process.platform === 'darwin' ? ['-q', '/dev/null', ...command] : ['-qec', quoted, '/dev/null'];
    const child = spawn('script', args, { env: { PATH: process.env.PATH, SHELL: '/bin/sh', ...KEYS.env } });
    children.push(child);
    let shown = '';
    let answered = false;
    child.stdout.on('data', (chunk: Buffer) => {
      shown += chunk.toString();
      if (answered || !shown.includes('[y/N]')) return;
      answered = true;
      child.stdin.write(text);
    });
    const [exitCode] = (await once(child, 'close')) as [number];
    return { exitCode, shown };
  }

  it('says how many rows there are, and deletes them after a yes', async () => {
    await storePeople();

    const { exitCode, shown } = await answer('y\r');

    expect(shown).toContain('3 rows of user_logins have what was given; they go for good');
    expect(shown).toContain('erased 3 rows');
    expect(exitCode).toBe(0);
    expect(await users()).toEqual(['other', 'same device']);
    expect(await trail()).toMatchObject([
      { action: 'lookup', count: '3' },
      { action: 'erase', count: '3' },
    ]);
  });

  it.each<[string, string, number]>([
    ['anything but a yes', 'n\r', 1],
    ['Ctrl-C', '\u0003', 130],
  ])('changes nothing after %s', async (_what, text, code) => {
    await storePeople();

    const { exitCode, shown } = await answer(text);

    expect(shown).toContain('nothing was changed');
    expect(exitCode).toBe(code);
    expect(await users()).toEqual(ALL);
    expect(await trail()).toMatchObject([{ action: 'lookup' }]);
  });
});
