import { beforeEach, describe, expect, it } from 'vitest';
import { KEYSET_JSON } from '../support/records.ts';
import { access, trail, usersOf } from '../support/recovery.ts';
import { DEVICE, IP, useSealedRecovery } from '../support/sealed-recovery.ts';
import { useTerminal } from '../support/terminal.ts';

const { database, createCli, store } = useSealedRecovery();
const onTerminal = useTerminal();
const env = { MASKING_KEYSET: KEYSET_JSON };

function erase(...args: string[]) {
  return createCli().run(['erase', ...access(database.url), ...args], { env });
}

/** Tokens of which the vault has a value. */
async function sealed(): Promise<string[]> {
  const rows = await database.rows<{ token: string }>('SELECT token FROM user_logins_vault');
  return rows.map(({ token }) => token).toSorted();
}

describe('where somebody has rows', () => {
  beforeEach(async () => {
    await store({ user_id: 'first' });
    await store({ user_id: 'second', device_id: 'another' });
    await store({ user_id: 'other', ip: '192.0.2.1' });
  });

  it.each<[string[], string]>([
    [[], 'erased 2 rows and 2 sealed values\n'],
    [['--blank'], 'blanked 2 rows and erased 2 sealed values\n'],
  ])('says how many sealed values went, and before how many would: %j', async (options, outcome) => {
    const counted = await erase('--ip', IP, '--dry-run', ...options);
    expect(await sealed()).toHaveLength(4);
    const { stdout } = await erase('--ip', IP, '--yes', ...options);

    expect(counted.stdout).toBe(`would have ${outcome}`);
    expect(stdout).toBe(outcome);
    const [other] = await database.rows<{ ip: string; device: string }>(
      `SELECT masked_ip AS ip, masked_device_id AS device FROM user_logins WHERE masked_ip IS NOT NULL`,
    );
    expect(await sealed()).toEqual([other!.ip, other!.device].toSorted());
    expect(await trail(database)).toMatchObject([
      { action: 'lookup', count: '2' },
      { action: 'erase', count: '2' },
    ]);
  });

  it('says before it asks what goes with the rows', async () => {
    const { shown } = await onTerminal(['erase', ...access(database.url), '--ip', IP], 'y\r', env);

    expect(shown).toContain(
      '2 rows of user_logins have what was given; they go for good, and what no other row needs goes too: 2 sealed values',
    );
    expect(shown).toContain('erased 2 rows and 2 sealed values');
    expect(await usersOf(database)).toEqual(['other']);
  });
});

describe('where the rows of somebody are gone', () => {
  beforeEach(async () => {
    await store();
    await store({ user_id: 'other', ip: '192.0.2.1' });
    await database.client.query(`DELETE FROM user_logins WHERE user_id <> 'other'`);
  });

  function asked(answer: string, ...args: string[]) {
    return onTerminal(['erase', ...access(database.url), '--ip', IP, ...args], answer, env);
  }

  it.each([[[]], [['--blank']]])(
    'asks about the sealed values, and a yes erases them: %j',
    async (options) => {
      const { exitCode, shown } = await asked('y\r', ...options);

      expect(shown).toContain(
        'no row of user_logins has what was given, but this is kept of it and goes for good: 1 sealed value',
      );
      expect(shown).toContain('Delete them?');
      expect(shown).toContain('erased 1 sealed value');
      expect(exitCode).toBe(0);
      expect(await sealed()).toHaveLength(2);
      expect(await trail(database)).toMatchObject([
        { action: 'lookup', count: '0' },
        { action: 'erase', count: '0' },
      ]);
    },
  );

  it('leaves them after a no', async () => {
    const { exitCode, shown } = await asked('n\r');

    expect(shown).toContain('nothing was changed');
    expect(exitCode).toBe(1);
    expect(await sealed()).toHaveLength(3);
  });

  it('counts them with --dry-run', async () => {
    const { json } = await erase('--ip', IP, '--dry-run', '--json');

    expect(json()).toMatchObject({ dryRun: true, erased: 0, sealedValues: 1, aliases: 0 });
    expect(await sealed()).toHaveLength(3);
  });

  it('says with --yes how many went', async () => {
    const { json } = await erase('--ip', IP, '--yes', '--json');

    expect(json()).toMatchObject({ dryRun: false, erased: 0, sealedValues: 1, aliases: 0 });
    expect(await sealed()).toHaveLength(2);
  });

  it.each([
    ['a value that nobody had', ['--ip', '192.0.2.99']],
    ['a value that a row of somebody else needs', ['--device-id', DEVICE, '--ip', '192.0.2.99']],
  ])('says that there is nothing of %s', async (_what, args) => {
    expect((await erase(...args, '--dry-run')).stdout).toBe('no rows\n');
    expect((await erase(...args, '--yes')).stdout).toBe('no rows\n');
    expect(await sealed()).toHaveLength(3);
  });
});
