import { beforeEach, describe, expect, it } from 'vitest';

import { useDatabase } from '../support/database.ts';
import { useFunctions } from '../support/function.ts';
import { minutesAgo, readTrail, useKeyCommands } from '../support/key-commands.ts';
import { FIRST, LAYERED, OTHER, ROTATED, useKeys, WRONG_KEY, WRONG_LAYERS } from '../support/key-proofs.ts';
import { records } from '../support/records.ts';

const database = useDatabase();
const { environment } = useKeys(database, useFunctions());
const createCommands = useKeyCommands(database);

const trail = () => readTrail(database);

beforeEach(async () => {
  await database.client.query('TRUNCATE user_logins_aliases');
});

describe('vizard keys promote', () => {
  const ADDED = JSON.stringify({ ...JSON.parse(ROTATED), primary: 'k1', 'k2.added': minutesAgo(6) });

  it('makes the key the one of new tokens, layered over the one before, in one write', async () => {
    await environment(FIRST).invoke(records(3));
    const { keys, text, member } = createCommands(ADDED);

    const { exitCode, stdout } = await keys(['promote', 'k2']);

    expect(exitCode).toBe(0);
    expect(stdout).toBe(
      'key "k2" is primary, layered over "k1" where tokens are irreversible\n' +
        'next: wait five minutes, until functions have taken it over\n' +
        'next: vizard rekey --from k1 --to k2\n',
    );
    expect(JSON.parse(text())).toEqual({
      ...JSON.parse(LAYERED),
      'k2.added': member('k2.added'),
    });
    expect(await trail()).toMatchObject([{ action: 'keys promote', kids: ['k2'] }]);
  });

  it('lets values that the table has join those that come, before the first of them', async () => {
    await environment(FIRST).invoke(records(3));
    const { keys, text } = createCommands(ADDED);

    await keys(['promote', 'k2']);
    await environment(text()).invoke(records(3));

    const values = await database.rows<{ rows: number }>(
      'SELECT count(*)::int AS rows FROM user_logins_current GROUP BY masked_ip, masked_device_id',
    );
    expect(values).toEqual([{ rows: 2 }, { rows: 2 }, { rows: 2 }]);
  });

  it.each([
    ['that is not there', 'k9', {}, 'expected one of the keyset [k1, k2]'],
    ['that was retired', 'k2', { 'k2.retired': minutesAgo(60) }, 'got one that was retired; add another'],
    ['that functions may not know yet', 'k2', { 'k2.added': minutesAgo(4) }, 'got 4 min'],
  ])('refuses a key %s', async (_, kid, facts, message) => {
    const { keys, text, change } = createCommands(ADDED);
    change(facts);
    const before = text();

    const { exitCode, stdout, stderr } = await keys(['promote', kid]);

    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toContain(message);
    expect(text()).toBe(before);
    expect(await trail()).toEqual([]);
  });

  it('does not wait for functions where it is told so', async () => {
    const { keys, change, member } = createCommands(ADDED);
    change({ 'k2.added': minutesAgo(0) });

    expect((await keys(['promote', 'k2', '--now'])).exitCode).toBe(0);
    expect(member('primary')).toBe('k2');
  });

  it.each([
    { what: 'the old key', wrote: OTHER, options: {}, message: WRONG_KEY },
    { what: 'its layers', wrote: ROTATED, options: { masking: 'irreversible' }, message: WRONG_LAYERS },
  ] as const)(
    'refuses where the table was written with other material of $what',
    async ({ wrote, options, message }) => {
      await environment(wrote, options).invoke(records(1));
      const { keys, text, change } = createCommands(ADDED);
      if (message === WRONG_LAYERS) change({ 'k2.over': 'k1' });
      const before = text();

      const { exitCode, stderr } = await keys(['promote', 'k2']);

      expect({ exitCode, stderr }).toEqual({ exitCode: 2, stderr: `vizard: ${message}\n` });
      expect(text()).toBe(before);
    },
  );

  it('layers no key with which the table was written without', async () => {
    await environment(ROTATED, { masking: 'irreversible' }).invoke(records(1));
    await database.client.query('TRUNCATE user_logins');
    const { keys, member } = createCommands(ADDED);

    const { exitCode, stdout } = await keys(['promote', 'k2']);

    expect({ exitCode, over: member('k2.over') }).toEqual({ exitCode: 0, over: undefined });
    expect(stdout).not.toContain('layered');
  });

  it('has nothing to do with the primary key', async () => {
    const { keys, text } = createCommands(LAYERED);

    const { exitCode, stdout } = await keys(['promote', 'k2']);

    expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: 'key "k2" is primary already\n' });
    expect(text()).toBe(LAYERED);
    expect(await trail()).toEqual([]);
  });

  it('on trial says what it would do and does nothing', async () => {
    await environment(FIRST).invoke(records(1));
    const { keys, text } = createCommands(ADDED);

    const { json } = await keys(['promote', 'k2', '--dry-run', '--json']);

    expect(json()).toMatchObject({ changed: false, dryRun: true, primary: 'k2', previous: 'k1', over: 'k1' });
    expect(text()).toBe(ADDED);
    expect(await database.rows('SELECT FROM user_logins_aliases')).toEqual([]);
    expect(await trail()).toEqual([]);
  });
});
