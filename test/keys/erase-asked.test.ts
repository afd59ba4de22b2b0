import { describe, expect, it } from 'vitest';
import { eraseRows } from '../../bin/commands/erase/erase-rows.ts';
import { seek, soughtUnder } from '../../bin/keys/known-person.ts';
import { parseAddress } from '../../lambda/events/address.ts';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { withClient } from '../../lambda/postgres/connection.ts';
import { lockRekeys } from '../../lambda/postgres/rekey/lock.ts';
import { useCli } from '../support/cli.ts';
import { useDatabase } from '../support/database.ts';
import { keyset, useFunctions } from '../support/function.ts';
import {
  access,
  IP,
  KEYS,
  PEOPLE,
  personStore,
  REASON,
  storePeople,
  trail,
  usersOf,
} from '../support/recovery.ts';
import { useTerminal } from '../support/terminal.ts';

const database = useDatabase();
const createCli = useCli();
const store = personStore(database, useFunctions());

function erase(args: readonly string[], url = database.url) {
  return createCli().run(['erase', ...access(url), ...args], KEYS);
}

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
        await storePeople(store);
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

  it('goes whichever of its tokens the rows have, and stays for another who has the value under another one', async () => {
    await database.client.query('CREATE TABLE user_logins_vault (token varchar(256) PRIMARY KEY)');
    try {
      const mine = await store({ user_id: 'mine' });
      await store({ user_id: 'other', ip: '192.0.2.1' });
      await database.client.query(
        `UPDATE user_logins SET masked_device_id = 'new device' WHERE user_id = 'other'`,
      );
      await store({ user_id: 'alone', device_id: 'of mine alone' });
      await database.client.query(
        `UPDATE user_logins SET masked_device_id = 'new alone' WHERE user_id = 'alone'`,
      );
      await database.client.query(
        `INSERT INTO user_logins_aliases VALUES ($1, 'new device'), ('old alone', 'new alone')`,
        [mine.device],
      );
      await database.client.query(`INSERT INTO user_logins_vault VALUES ($1), ('old alone')`, [mine.device]);

      await erase(['--ip', IP, '--yes']);

      expect(await tokensOf('user_logins_vault')).toEqual([mine.device]);
      expect(await tokensOf('user_logins_aliases')).toEqual([mine.device]);
    } finally {
      await database.client.query('DROP TABLE user_logins_vault; TRUNCATE user_logins_aliases');
    }
  });

  it('goes where the sealed value is under the token of a third key', async () => {
    await database.client.query('CREATE TABLE user_logins_vault (token varchar(256) PRIMARY KEY)');
    try {
      const mine = await store({ user_id: 'mine' });
      await database.client.query(
        `INSERT INTO user_logins_aliases VALUES ($1, 'under k3'), ('under k2', 'under k3')`,
        [mine.device],
      );
      await database.client.query(`INSERT INTO user_logins_vault VALUES ('under k2')`);

      await erase(['--ip', IP, '--yes']);

      expect(await tokensOf('user_logins_vault')).toEqual([]);
      expect(await tokensOf('user_logins_aliases')).toEqual([]);
    } finally {
      await database.client.query('DROP TABLE user_logins_vault; TRUNCATE user_logins_aliases');
    }
  });

  it('goes even where no row has it any more', async () => {
    await store({ user_id: 'k1' });
    await put('aliases');
    await database.client.query('TRUNCATE user_logins');

    const counted = await erase(['--ip', IP, '--dry-run']);
    const erased = await erase(['--ip', IP, '--yes']);

    expect(counted.stdout).toBe('would have erased 1 alias\n');
    expect(erased.stdout).toBe('erased 1 alias\n');
    expect(await tokensOf('user_logins_aliases')).toHaveLength(1);
    await database.client.query('TRUNCATE user_logins_aliases');
  });
});

it('where rows came or went between the count and the deletion, nothing is deleted', async () => {
  await storePeople(store);
  const sought = seek(keyset, loginEvents, [{ source: 'ip', value: parseAddress(IP)! }]);
  const person = { who: 'alice@host', reason: REASON };
  const erasure = {
    declaration: loginEvents,
    sought,
    person,
    asked: soughtUnder(keyset, sought),
    checkKeyset: () => Promise.resolve(),
  };

  for (const blank of [false, true]) {
    await store({ user_id: 'late' });
    const counted = (await usersOf(database)).filter((user) => /^([kh]\d|late)$/.test(user)).length - 1;
    for (const expected of [counted, counted + 2])
      await expect(
        withClient(database.login, (client) => eraseRows(client, { ...erasure, blank }, expected)),
      ).rejects.toThrow(
        `expected the ${expected} rows that were counted, got ${counted + 1}: events came or went meanwhile; nothing was changed`,
      );
  }

  expect(await usersOf(database)).toEqual(['h1', 'k1', 'k2', 'late', 'late', 'other', 'same device']);
  expect(await trail(database)).toEqual([]);
});

it('keeps changes of the keys out before it looks at the keyset again', async () => {
  const sought = seek(keyset, loginEvents, [{ source: 'ip', value: parseAddress(IP)! }]);
  let looked = 0;
  const checkKeyset = async () => {
    looked++;
    await expect(withClient(database.login, (other) => lockRekeys(other, 0))).rejects.toThrow(
      'a change of the keys or an erasure is under way',
    );
  };

  await withClient(database.login, (client) =>
    eraseRows(client, {
      declaration: loginEvents,
      sought,
      blank: false,
      person: { who: 'alice@host', reason: REASON },
      asked: soughtUnder(keyset, sought),
      checkKeyset,
    }),
  );

  expect(looked).toBe(1);
});

it.each([[[]], [['--blank']]])(
  'takes a row as well that somebody changes at the same time: %j',
  async (options) => {
    await storePeople(store);
    const running = await withClient(database.login, async (other) => {
      await other.query(`BEGIN; UPDATE user_logins SET locale = 'xx' WHERE user_id = 'k1'`);
      const running = createCli().start(
        ['erase', ...access(database.url), '--ip', IP, '--yes', ...options],
        KEYS,
      );
      await expect
        .poll(
          () =>
            database.rows(
              `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
            ),
          {
            timeout: 10_000,
          },
        )
        .toHaveLength(1);
      await other.query('COMMIT');
      return running;
    });

    const { exitCode, stdout } = await running.result;

    expect({ exitCode, stdout }).toEqual({
      exitCode: 0,
      stdout: `${options.length === 0 ? 'erased' : 'blanked'} 3 rows\n`,
    });
    expect(await usersOf(database, `masked_ip IS NOT NULL`)).toEqual(['other', 'same device']);
  },
);

describe('vizard erase on a terminal', () => {
  const onTerminal = useTerminal();

  function answer(text: string | (() => Promise<string>)) {
    return onTerminal(['erase', ...access(database.url), '--ip', IP], text, { ...KEYS.env });
  }

  it('says how many rows there are, and deletes them after a yes', async () => {
    await storePeople(store);

    const { exitCode, shown } = await answer('y\r');

    expect(shown).toContain('3 rows of user_logins have what was given; they go for good');
    expect(shown).toContain('erased 3 rows');
    expect(exitCode).toBe(0);
    expect(await usersOf(database)).toEqual(['other', 'same device']);
    expect(await trail(database)).toMatchObject([
      { action: 'lookup', count: '3' },
      { action: 'erase', count: '3' },
    ]);
  });

  it('deletes nothing after a yes to another number of rows', async () => {
    await storePeople(store);

    const { exitCode, shown } = await answer(async () => {
      await store({ user_id: 'late' });
      return 'y\r';
    });

    expect(shown).toContain('expected the 3 rows that were counted, got 4');
    expect(exitCode).toBe(2);
    expect(await usersOf(database)).toHaveLength(6);
    expect(await trail(database)).toMatchObject([{ action: 'lookup', count: '3' }]);
  });

  it.each<[string, string, number]>([
    ['anything but a yes', 'n\r', 1],
    ['Ctrl-C', '\u0003', 130],
  ])('changes nothing after %s', async (_what, text, code) => {
    await storePeople(store);

    const { exitCode, shown } = await answer(text);

    expect(shown).toContain('nothing was changed');
    expect(exitCode).toBe(code);
    expect(await usersOf(database)).toEqual(PEOPLE);
    expect(await trail(database)).toMatchObject([{ action: 'lookup' }]);
  });
});
