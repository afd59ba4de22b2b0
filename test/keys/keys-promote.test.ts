import { beforeEach, describe, expect, it } from 'vitest';
import { parseKeyset } from '../../lambda/masking/keyset.ts';
import { useDatabase } from '../support/database.ts';
import { useFunctions } from '../support/function.ts';
import { minutesAgo, readTrail, useKeyCommands } from '../support/key-commands.ts';
import {
  FIRST,
  LAYERED,
  MATERIAL,
  OTHER,
  ROTATED,
  useKeys,
  WRONG_KEY,
  WRONG_LAYERS,
} from '../support/key-proofs.ts';
import { records } from '../support/records.ts';

const database = useDatabase();
const { environment } = useKeys(database, useFunctions());
const createCommands = useKeyCommands(database);

const trail = () => readTrail(database);
const aliases = () => database.rows('SELECT token, current FROM user_logins_aliases ORDER BY token');
/** How many rows each value has for whoever looks through the view. */
const rowsOfValues = () =>
  database.rows<{ rows: number }>(
    'SELECT count(*)::int AS rows FROM user_logins_current GROUP BY masked_ip, masked_device_id',
  );

beforeEach(async () => {
  await database.client.query('TRUNCATE user_logins_aliases');
});

const ADDED = JSON.stringify({ ...JSON.parse(ROTATED), primary: 'k1', 'k2.added': minutesAgo(6) });

describe('vizard keys promote', () => {
  it('makes the key the one of new tokens, layered over the one before, in one write', async () => {
    await environment(FIRST).invoke(records(3));
    const { keys, text, member } = createCommands(ADDED);

    const { exitCode, stdout } = await keys(['promote', 'k2']);

    expect(exitCode).toBe(0);
    expect(stdout).toBe(
      'key "k2" is primary, layered over "k1" where tokens are irreversible\n' +
        'next: wait five minutes, until functions have taken it over\n' +
        'next: vizard keys promote k2, once more: values that first came in under "k1" since this command began are two in the views until then, or until the rekey\n' +
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

    expect(await rowsOfValues()).toEqual([{ rows: 2 }, { rows: 2 }, { rows: 2 }]);
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

  it.each(['recoverable', 'irreversible'] as const)(
    'of the primary key joins what came in under the old one since: %s',
    async (masking) => {
      await environment(LAYERED, { masking }).invoke(records(3));
      await environment(FIRST, { masking }).invoke(records(3));
      const { keys, text } = createCommands(LAYERED);

      const { exitCode, stdout } = await keys(['promote', 'k2']);

      expect({ exitCode, stdout }).toEqual({
        exitCode: 0,
        stdout: 'key "k2" is primary already; aliases added for the tokens of older keys that had none\n',
      });
      expect(await rowsOfValues()).toEqual([{ rows: 2 }, { rows: 2 }, { rows: 2 }]);
      expect(text()).toBe(LAYERED);
      expect(await trail()).toMatchObject([{ action: 'keys promote', kids: ['k2'] }]);
    },
  );

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

describe('a promotion back to the key before', () => {
  it.each([
    { args: [], what: '' },
    { args: ['--dry-run'], what: ', on trial too' },
  ])(
    'is refused where irreversible tokens would be torn apart, before anything changes$what',
    async ({ args }) => {
      await environment(FIRST, { masking: 'irreversible' }).invoke(records(3));
      const { keys, text } = createCommands(ADDED);
      await keys(['promote', 'k2']);
      await environment(text(), { masking: 'irreversible' }).invoke(records(3));
      const before = { text: text(), aliases: await aliases(), trail: await trail() };

      const { exitCode, stdout, stderr } = await keys(['promote', 'k1', ...args]);

      expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
      expect(stderr).toMatch(
        /\nvizard: key "k1": expected one that is layered over key "k2", because user_logins has irreversible tokens of it,.*\n$/,
      );
      expect({ text: text(), aliases: await aliases(), trail: await trail() }).toEqual(before);
      expect(before.aliases).toHaveLength(6);
      expect(await rowsOfValues()).toEqual([{ rows: 2 }, { rows: 2 }, { rows: 2 }]);
    },
  );

  it('joins recoverable tokens the other way round', async () => {
    await environment(FIRST).invoke(records(3));
    const { keys, text } = createCommands(ADDED);
    await keys(['promote', 'k2']);
    await environment(text()).invoke(records(3));

    expect((await keys(['promote', 'k1'])).exitCode).toBe(0);
    const kids = (await aliases()).map((alias) =>
      JSON.stringify(alias)
        .match(/(?<=1~)k\d/g)
        ?.join(' to '),
    );
    await environment(text()).invoke(records(3));

    expect(new Set(kids)).toEqual(new Set(['k2 to k1']));
    expect(await rowsOfValues()).toEqual([{ rows: 3 }, { rows: 3 }, { rows: 3 }]);
  });

  it('leaves no token behind that a function still makes: the next key is layered over all of them', async () => {
    const options = { masking: 'irreversible' } as const;
    await environment(FIRST, options).invoke(records(3));
    const { keys, text, change, member } = createCommands(ADDED);
    await keys(['promote', 'k2']);
    const cached = text();
    expect((await keys(['promote', 'k1'])).exitCode).toBe(0);
    await environment(cached, options).invoke(records(3));
    change({ k3: MATERIAL.toLowerCase(), 'k3.added': minutesAgo(6) });

    const { exitCode } = await keys(['promote', 'k3']);
    await environment(text(), options).invoke(records(3));

    expect({ exitCode, over: member('k3.over') }).toEqual({ exitCode: 0, over: 'k2' });
    expect(await rowsOfValues()).toEqual([{ rows: 3 }, { rows: 3 }, { rows: 3 }]);
  });
});

it('a promotion of the primary key says where a function has written since what can never join', async () => {
  const options = { masking: 'irreversible' } as const;
  await environment(FIRST, options).invoke(records(3));
  const { keys, text } = createCommands(ADDED);
  await keys(['promote', 'k2']);
  const cached = text();
  await keys(['promote', 'k1']);
  await environment(cached, options).invoke(records(3));

  const { exitCode, stdout, stderr } = await keys(['promote', 'k1']);

  expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
  expect(stderr).toContain('key "k1": expected one that is layered over key "k2"');
  expect(await trail()).toHaveLength(2);
});

describe('a promotion that fails', () => {
  it.each([
    ['to a new key', []],
    ['back to the key before', ['k2']],
  ])(
    '%s leaves the keyset and every join as it is where the trail cannot be written',
    async (_to, before) => {
      await environment(FIRST).invoke(records(3));
      const { keys, text } = createCommands(ADDED);
      for (const kid of before) expect((await keys(['promote', kid])).exitCode).toBe(0);
      const keyset = text();
      await database.client.query('ALTER TABLE pii_audit RENAME TO gone');
      try {
        expect((await keys(['promote', before.length === 0 ? 'k2' : 'k1'])).exitCode).toBe(2);
      } finally {
        await database.client.query('ALTER TABLE gone RENAME TO pii_audit');
      }

      expect(text()).toBe(keyset);
      await environment(keyset).invoke(records(3));
      expect(await rowsOfValues()).toEqual([{ rows: 2 }, { rows: 2 }, { rows: 2 }]);
    },
  );

  it('among its aliases takes none away and leaves the keyset as it is', async () => {
    await environment(FIRST).invoke(records(3));
    const { keys, text } = createCommands(ADDED);
    await keys(['promote', 'k2']);
    await environment(text()).invoke(records(3));
    const before = { text: text(), aliases: await aliases() };
    await database.client.query(
      'ALTER TABLE user_logins_aliases ADD CONSTRAINT full_disk CHECK (false) NOT VALID',
    );
    try {
      expect((await keys(['promote', 'k1'])).exitCode).not.toBe(0);
    } finally {
      await database.client.query('ALTER TABLE user_logins_aliases DROP CONSTRAINT full_disk');
    }

    expect({ text: text(), aliases: await aliases() }).toEqual(before);
    expect(parseKeyset(text()).primary).toBe('k2');
    expect((await trail()).map(({ kids }) => kids)).toEqual([['k2']]);
  });
});
