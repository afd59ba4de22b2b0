import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { withClient } from '../../lambda/postgres/connection.ts';
import type { Day } from '../../lambda/postgres/partitions/days.ts';
import { migrate } from '../../lambda/postgres/schema/schema.ts';
import { useCli } from '../support/cli.ts';
import { useDatabase } from '../support/database.ts';
import { useFunctions } from '../support/function.ts';
import { A_DAY, keep, TODAY } from '../support/partitions.ts';
import { startProxy } from '../support/proxy.ts';
import { KEYSET_JSON, loginEvent, record } from '../support/records.ts';
import {
  access,
  auditText,
  DEVICE,
  dropRole,
  expectNothingPlanted,
  expectNothingShown,
  IP,
  KEYS,
  PEOPLE,
  personStore,
  REASON,
  roleUrl,
  storePeople,
  trail,
  usersOf,
} from '../support/recovery.ts';
import { uniqueRoles } from '../support/roles.ts';

const database = useDatabase();
const createCli = useCli();
const createFunction = useFunctions();
const store = personStore(database, createFunction);

function erase(args: readonly string[], url = database.url) {
  return createCli().run(['erase', ...access(url), ...args], KEYS);
}

describe('vizard erase', () => {
  it('deletes the rows of a person under every key and in both schemes, and no others', async () => {
    await storePeople(store);

    const { exitCode, stdout, stderr } = await erase(['--ip', IP, '--yes']);

    expect({ exitCode, stdout, stderr }).toEqual({ exitCode: 0, stdout: 'erased 3 rows\n', stderr: '' });
    expect(await usersOf(database)).toEqual(['other', 'same device']);
    expect(await trail(database)).toMatchObject([
      { action: 'erase', reason: REASON, columns: ['masked_ip'], kids: ['k1', 'k2'], count: '3' },
    ]);
    expectNothingPlanted(await auditText(database));
  });

  it('deletes only rows that have all of several values', async () => {
    await storePeople(store);

    const { json } = await erase(['--ip', IP, '--device-id', DEVICE, '--yes', '--json']);

    const [row] = await trail(database);
    expect(json()).toEqual({
      dryRun: false,
      erased: 2,
      sealedValues: 0,
      aliases: 0,
      unsearched: [],
      audit: { number: 1, hash: row!.hash },
    });
    expect(await usersOf(database)).toEqual(['h1', 'other', 'same device']);
  });

  it('blanks the masked columns with --blank, and the rows stay', async () => {
    await storePeople(store);
    const before = await database.rows(
      'SELECT user_id, device_type, locale, app_version, create_date, event_id FROM user_logins ORDER BY event_id',
    );

    const { stdout } = await erase(['--ip', IP, '--blank', '--yes']);

    expect(stdout).toBe('blanked 3 rows\n');
    expect(await usersOf(database, 'masked_ip IS NULL AND masked_device_id IS NULL')).toEqual([
      'h1',
      'k1',
      'k2',
    ]);
    expect(await usersOf(database, 'masked_ip IS NOT NULL AND masked_device_id IS NOT NULL')).toEqual([
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
      await storePeople(store);

      const { exitCode, json } = await erase(['--ip', IP, '--dry-run', '--json', ...options]);

      expect(exitCode).toBe(0);
      expect(json()).toMatchObject({ dryRun: true, [options.length === 0 ? 'erased' : 'blanked']: 3 });
      expect(await usersOf(database)).toEqual(PEOPLE);
      expect(await trail(database)).toMatchObject([{ action: 'lookup', count: '3' }]);
    },
  );

  it('asks nobody where there is no terminal, and changes nothing', async () => {
    await storePeople(store);

    const { exitCode, stdout, stderr } = await erase(['--ip', IP]);

    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toMatch(/^vizard: erase deletes for good: expected a terminal[^\n]+\n$/);
    expect(await usersOf(database)).toEqual(PEOPLE);
    expect(await trail(database)).toEqual([]);
  });

  it('says that there are no rows', async () => {
    await storePeople(store);

    expect(await erase(['--ip', '192.0.2.99', '--yes'])).toMatchObject({ exitCode: 0, stdout: 'no rows\n' });
    expect(await usersOf(database)).toEqual(PEOPLE);
  });

  it('leaves all as it was where the trail cannot be written', async () => {
    await storePeople(store);
    const url = await roleUrl(
      database,
      'SELECT, DELETE ON user_logins',
      'SELECT, DELETE ON user_logins_aliases',
      'SELECT ON user_logins_keys',
    );

    const result = await erase(['--ip', IP, '--yes'], url);

    await expectNothingShown(database, result);
    expect(result.stderr).toContain('the audit trail pii_audit cannot be written (42501)');
    expect(await usersOf(database)).toEqual(PEOPLE);
    await dropRole(database, url);
  });

  it('leaves all as it was where the connection is lost before it commits', async () => {
    await storePeople(store);
    const proxy = await startProxy(database.url);
    try {
      const held = proxy.hold('COMMIT\0');
      const running = createCli().start(['erase', ...access(proxy.url), '--ip', IP, '--yes'], KEYS);
      await held;
      proxy.cut();
      const { exitCode, stdout, stderr } = await running.result;

      expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
      expect(stderr).toMatch(/^vizard: [^\n]+\n$/);
      expect(await usersOf(database)).toEqual(PEOPLE);
      expect(await trail(database)).toEqual([]);
    } finally {
      proxy.close();
    }
  });

  it('says that nobody knows whether it was done where the answer to its commit is lost', async () => {
    await storePeople(store);
    const proxy = await startProxy(database.url);
    try {
      const held = proxy.hold('COMMIT\0');
      const running = createCli().start(['erase', ...access(proxy.url), '--ip', IP, '--yes'], KEYS);
      await (await held).loseAnswer();
      const { exitCode, stderr } = await running.result;

      expect(exitCode).toBe(2);
      expect(stderr).toMatch(
        /^vizard: [^\n]*it isn't known whether it was done; look with `vizard audit list`\n$/,
      );
      expect(await usersOf(database)).toEqual(['other', 'same device']);
    } finally {
      proxy.close();
    }
  });

  it('changes nothing where the keyset has changed since it looked', async () => {
    await storePeople(store);
    const proxy = await startProxy(database.url);
    const cli = createCli();
    const file = join(cli.directory, 'keyset.json');
    writeFileSync(file, KEYSET_JSON);
    try {
      const held = proxy.hold('BEGIN ISOLATION');
      const running = cli.start(['erase', ...access(proxy.url), '--keyset', file, '--ip', IP, '--yes']);
      const message = await held;
      writeFileSync(file, JSON.stringify({ ...JSON.parse(KEYSET_JSON), k3: 'x'.repeat(43) }));
      message.pass();

      expect((await running.result).stderr).toContain('the keyset was changed meanwhile; nothing was erased');
      expect(await usersOf(database)).toEqual(PEOPLE);
    } finally {
      proxy.close();
    }
  });

  it('is refused while a rekey is under way', async () => {
    await storePeople(store);
    await withClient(database.login, async (rekey) => {
      await rekey.query(`SELECT pg_advisory_lock(hashtext('vizard rekey'))`);

      const { exitCode, stdout, stderr } = await erase(['--ip', IP, '--yes']);

      expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
      expect(stderr).toMatch(/^vizard: a rekey or a change of the keys is under way[^\n]+\n$/);
    });
    expect(await usersOf(database)).toEqual(PEOPLE);
    expect(await trail(database)).toEqual([]);
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
    // At places of their partitions where others stand in another one.
    expect(await invoke([person[0]!, ...others, ...person.slice(1)])).toEqual([]);

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
      await storePeople(store);

      const refused = await erase(['--ip', IP, '--yes'], as(roles.recovery));
      expect(refused).toMatchObject({ exitCode: 2, stdout: '' });
      expect(refused.stderr).toMatch(
        /^vizard: the database cannot be used \(42501\); log in as a role[^\n]+\n$/,
      );
      expect(await usersOf(database)).toEqual(PEOPLE);

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
