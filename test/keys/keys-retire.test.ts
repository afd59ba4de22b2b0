import { beforeEach, describe, expect, it } from 'vitest';
import { parseKeyset } from '../../lambda/masking/keyset.ts';
import { useDatabase } from '../support/database.ts';
import { useFunctions } from '../support/function.ts';
import { minutesAgo, readTrail, useKeyCommands } from '../support/key-commands.ts';
import { FIRST, LAYERED, MATERIAL, OTHER, ROTATED, useKeys, WRONG_KEY } from '../support/key-proofs.ts';
import { records } from '../support/records.ts';

const database = useDatabase();
const { environment } = useKeys(database, useFunctions());
const createCommands = useKeyCommands(database);

const trail = () => readTrail(database);

/** The table was written with the first key, and has no row of it any more. */
async function writeAndEmpty(): Promise<void> {
  await environment(FIRST).invoke(records(1));
  await database.client.query('TRUNCATE user_logins');
}

describe('vizard keys retire', () => {
  it.each([
    ['the primary key', 'k2', 'got the primary one; promote another first'],
    [
      'a key with rows',
      'k1',
      'expected no token of it in user_logins, got 3 rows; run `vizard rekey --from k1 --to k2` first',
    ],
    ['a key that is not there', 'k9', 'expected one of the keyset [k1, k2]'],
  ])('refuses %s', async (_, kid, message) => {
    await environment(FIRST, { masking: 'irreversible' }).invoke(records(3));
    const { keys, text } = createCommands(ROTATED);

    const { exitCode, stdout, stderr } = await keys(['retire', kid]);

    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toContain(message);
    expect(text()).toBe(ROTATED);
    expect(await trail()).toEqual([]);
  });

  it.each([
    { table: 'user_logins_aliases', columns: 'token, current', row: `'s1~k1~AA', 's1~k2~AA'` },
    { table: 'user_logins_aliases', columns: 'token, current', row: `'s1~k0~AA', 's1~k1~AA'` },
    { table: 'user_logins_vault', columns: 'token', row: `'h1~k1~AA'` },
  ])('refuses a key of which $table holds $row', async ({ table, columns, row }) => {
    await writeAndEmpty();
    await database.client.query(
      `CREATE TABLE IF NOT EXISTS user_logins_vault (token text);
       INSERT INTO ${table} (${columns}) VALUES (${row})`,
    );
    try {
      const { stderr } = await createCommands(ROTATED).keys(['retire', 'k1']);

      expect(stderr).toContain(`expected no token of it in ${table}, got 1 row;`);
    } finally {
      await database.client.query(`DELETE FROM ${table}`);
    }
  });

  it('notes the time, once', async () => {
    await writeAndEmpty();
    const { keys, text } = createCommands(ROTATED);

    expect((await keys(['retire', 'k1'])).stdout).toContain('key "k1" retired;');
    const retired = text();
    const again = await keys(['retire', 'k1', '--json']);

    expect(parseKeyset(retired).facts('k1').retired).toBeDefined();
    expect(again.json()).toMatchObject({ changed: false, note: 'key "k1" is retired already' });
    expect(again.exitCode).toBe(0);
    expect(text()).toBe(retired);
    expect((await trail()).map(({ action }) => action)).toEqual(['keys retire']);
  });
});

describe('vizard keys shred', () => {
  const RETIRED = { 'k1.retired': minutesAgo(21) };
  beforeEach(writeAndEmpty);

  it('takes a retired key out of the file, and says what that means', async () => {
    const { keys, text, change } = createCommands(LAYERED);
    change(RETIRED);

    const { exitCode, stdout } = await keys(['shred', 'k1', '--yes']);

    expect(exitCode).toBe(0);
    expect(stdout).toContain(
      'key "k1" shredded; tokens of it in backups and exports can never be recovered\n',
    );
    expect(stdout).toContain('copies and backups of the keyset file still hold the key');
    expect(text()).not.toMatch(new RegExp(`k1|${MATERIAL}`));
    expect(await trail()).toMatchObject([{ action: 'keys shred', kids: ['k1'] }]);
  });

  it.each([
    ['a key that is not retired', {}, [], 'got one that is not; run `vizard keys retire k1` first'],
    [
      'a key that was retired a moment ago',
      { 'k1.retired': minutesAgo(19) },
      [],
      'expected one that was retired 20 min ago',
    ],
  ])('refuses %s', async (_, facts, args, message) => {
    const { keys, text, change } = createCommands(ROTATED);
    change(facts);
    const before = text();

    const { exitCode, stdout, stderr } = await keys(['shred', 'k1', '--yes', ...args]);

    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toContain(message);
    expect(text()).toBe(before);
    expect(await trail()).toEqual([]);
  });

  it('refuses a key of which there are rows again, whatever was noted', async () => {
    await environment(FIRST).invoke(records(3));
    const { keys, change, member } = createCommands(ROTATED);
    change({ 'k1.retired': minutesAgo(1) });

    expect((await keys(['shred', 'k1', '--yes', '--now'])).stderr).toContain('got 3 rows');
    expect(member('k1')).toBe(MATERIAL);

    await database.client.query('TRUNCATE user_logins');
    expect((await keys(['shred', 'k1', '--yes', '--now'])).exitCode).toBe(0);
  });

  it.each([
    { what: 'in the table', change: `DELETE FROM user_logins_keys WHERE kid LIKE 'h1~%'` },
    { what: 'that functions make, though the table has none by now', change: 'TRUNCATE user_logins' },
  ])('refuses a key below the layers of irreversible tokens $what', async ({ change: sql }) => {
    await environment(LAYERED, { masking: 'irreversible' }).invoke(records(1));
    await database.client.query(sql);
    const { keys, change, member } = createCommands(LAYERED);
    change(RETIRED);

    const { exitCode, stderr } = await keys(['shred', 'k1', '--yes']);

    expect(exitCode).toBe(2);
    expect(stderr).toContain('got one that irreversible tokens of key "k2" are layered over');
    expect(member('k1')).toBe(MATERIAL);
  });

  it('asks, and where nobody can be asked does nothing', async () => {
    const { keys, text, change } = createCommands(ROTATED);
    change(RETIRED);
    const before = text();

    const { exitCode, stderr } = await keys(['shred', 'k1']);

    expect(exitCode).toBe(2);
    expect(stderr).toContain('expected a terminal to ask on, got none; pass --yes');
    expect(text()).toBe(before);
  });

  it('on trial says what it would do and does nothing', async () => {
    const { keys, text, change } = createCommands(ROTATED);
    change(RETIRED);
    const before = text();

    const { stdout } = await keys(['shred', 'k1', '--dry-run']);

    expect(stdout).toContain('would: key "k1" shredded');
    expect(text()).toBe(before);
  });
});

describe('beside a table that does not belong to the keyset', () => {
  const RETIRED = { 'k1.retired': minutesAgo(21) };

  it.each([
    { what: 'retired', args: ['retire', 'k1'], facts: {} },
    { what: 'shredded', args: ['shred', 'k1', '--yes'], facts: RETIRED },
  ])('no key is $what where nothing was written', async ({ args, facts }) => {
    const { keys, text, change } = createCommands(ROTATED);
    change(facts);
    const before = text();

    const { exitCode, stdout, stderr } = await keys(args);

    expect({ exitCode, stdout, stderr }).toEqual({
      exitCode: 2,
      stdout: '',
      stderr:
        'vizard: table user_logins: expected one that was written with key "k1" or with the primary key "k2", got one that was written with neither; name the database that belongs to the keyset\n',
    });
    expect(text()).toBe(before);
    expect(await trail()).toEqual([]);
  });

  it.each([['add'], ['retire', 'k1'], ['shred', 'k1', '--yes']])(
    'nothing is changed where another key of the same name wrote: %s',
    async (...args) => {
      await environment(OTHER).invoke(records(1));
      await database.client.query('TRUNCATE user_logins');
      const { keys, text, change } = createCommands(ROTATED);
      change(args[0] === 'shred' ? RETIRED : {});
      const before = text();

      const { exitCode, stderr } = await keys(args);

      expect({ exitCode, stderr }).toEqual({ exitCode: 2, stderr: `vizard: ${WRONG_KEY}\n` });
      expect(text()).toBe(before);
      expect(await trail()).toEqual([]);
    },
  );

  it('a key that never wrote can go where the primary key did', async () => {
    await environment(ROTATED).invoke(records(1));
    const { keys, member } = createCommands(ROTATED);

    expect((await keys(['retire', 'k1'])).exitCode).toBe(0);
    expect(member('k1.retired')).toBeDefined();
  });
});
