import { statSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseKeyset } from '../../lambda/masking/keyset.ts';
import { useDatabase } from '../support/database.ts';
import { useFunctions } from '../support/function.ts';
import { expectNoMaterial, minutesAgo, REASON, readTrail, useKeyCommands } from '../support/key-commands.ts';
import { FIRST, LAYERED, MATERIAL, mixed, OTHER, ROTATED, useKeys } from '../support/key-proofs.ts';
import { record, records } from '../support/records.ts';

const database = useDatabase();
const { environment } = useKeys(database, useFunctions());
const createCommands = useKeyCommands(database);

const trail = () => readTrail(database);

describe('vizard keys list', () => {
  it('says of each key what it is and what of the table is under it', async () => {
    await environment(FIRST).invoke(records(3));
    await environment(LAYERED, { declaration: mixed }).invoke([
      record(undefined, { sentTimestamp: String(Date.parse('2024-02-29T12:00:00Z')) }),
    ]);
    const { keys, change } = createCommands(LAYERED);
    change({ k3: MATERIAL.toLowerCase(), 'k3.added': '2026-01-31T12:00:00.000Z' });

    const { exitCode, json, stderr } = await keys(['list', '--json']);

    const none = { added: null, retired: null, over: null };
    expect(json()).toMatchObject({
      primary: 'k2',
      table: 'user_logins',
      keys: [
        {
          ...none,
          kid: 'k1',
          status: 'old',
          rows: { s1: 3 },
          first: '2023-11-14',
          last: '2023-11-14',
          proven: true,
        },
        {
          ...none,
          kid: 'k2',
          status: 'primary',
          over: 'k1',
          rows: { s1: 1, h1: 1 },
          first: '2024-02-29',
          proven: true,
        },
        {
          ...none,
          kid: 'k3',
          status: 'new',
          added: '2026-01-31T12:00:00.000Z',
          rows: {},
          first: null,
          proven: null,
        },
      ],
    });
    expect(exitCode).toBe(0);
    expect(stderr).toBe('counting the rows of user_logins by key\n');
  });

  it('is a table for people, and has a line for tokens whose key is gone', async () => {
    await environment(FIRST).invoke(records(3));
    const { keys, change } = createCommands(ROTATED);
    change({ k1: undefined });

    const { stdout } = await keys(['list']);

    expect(stdout).toMatch(/k2 +│ primary +│ unknown +│ – +│ 0 +│ 0 +│ – +│ – +│ –/);
    expect(stdout).toMatch(/k1 +│ missing +│ unknown +│ – +│ 3 +│ 0 +│ 2023-11-14 +│ 2023-11-14 +│ –/);
    expect(stdout).toContain('key "k1" is not in the keyset: nobody recovers its tokens in user_logins\n');
  });

  it.each([
    { what: 'of a key', wrote: FIRST, keyset: OTHER },
    { what: 'of a layer', wrote: LAYERED, keyset: ROTATED },
  ])('says where the material $what is not what wrote the table', async ({ wrote, keyset }) => {
    await environment(wrote, { masking: 'irreversible' }).invoke(records(1));

    const { stdout } = await createCommands(keyset).keys(['list']);

    expect(stdout).toMatch(/primary .* OTHER KEY/);
  });

  it('shows nothing that stands in a masked column and is no token', async () => {
    await environment(FIRST).invoke(records(1));
    await database.client.query(
      `INSERT INTO user_logins (user_id, masked_ip) VALUES ('u', '203.0.113.99'), ('u', 's1~CANARY~x'), ('u', NULL),
         ('u', 'CA~NARY~x'), ('u', '')`,
    );

    const { stdout, stderr, json } = await createCommands(FIRST).keys(['list', '--json']);

    expect(json()).toMatchObject({ keys: [{ kid: 'k1', rows: { s1: 1 } }] });
    expect(stdout + stderr).not.toMatch(/203\.0|CANARY/);
  });

  it('reads the table only where it is asked to', async () => {
    await environment(FIRST).invoke(records(3));

    const { json, stderr } = await createCommands(FIRST).keys(['list', '--no-rows', '--json']);

    expect(json()).toMatchObject({ keys: [{ kid: 'k1', rows: null, proven: true }] });
    expect(stderr).toBe('');
  });
});

describe('vizard keys add', () => {
  it('adds a key of 384 random bits under the next name, not primary, and audits it', async () => {
    const { keys, member, file, text } = createCommands(FIRST);

    const { exitCode, json, stderr } = await keys(['add', '--json']);

    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(json()).toMatchObject({ action: 'keys add', kid: 'k2', primary: 'k1', changed: true, audit: 1 });
    expect(member('k2')).toMatch(/^[A-Za-z0-9_-]{64}$/);
    expect(Date.now() - Date.parse(member('k2.added') ?? '')).toBeLessThan(60_000);
    expect(parseKeyset(text())).toMatchObject({ primary: 'k1', kids: ['k1', 'k2'] });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(await trail()).toEqual([
      { number: 1, action: 'keys add', reason: REASON, columns: [], count: 0, kids: ['k2'] },
    ]);
  });

  it('says what comes next', async () => {
    const { stdout } = await createCommands(FIRST).keys(['add', 'autumn26']);

    expect(stdout).toContain('key "autumn26" added; new tokens are still made with "k1"\n');
    expect(stdout).toContain(
      'next: in five minutes, when every function knows it: vizard keys promote autumn26\n',
    );
  });

  it('never takes a name again that the table was written with', async () => {
    await environment(ROTATED).invoke(records(1));
    const { keys, text } = createCommands(FIRST);

    const refused = await keys(['add', 'k2']);
    const next = await keys(['add', '--json']);

    expect(refused).toMatchObject({ exitCode: 2, stdout: '' });
    expect(refused.stderr).toBe(
      'vizard: key "k2": expected a name that was never used, got one that the table was written with or that was shredded; give the new key another\n',
    );
    expect(next.json()).toMatchObject({ kid: 'k3' });
    expect(parseKeyset(text()).kids).toEqual(['k1', 'k3']);
  });

  it('never takes the name of a shredded key again, though the table never had a token of it', async () => {
    await environment(ROTATED).invoke(records(1));
    const { keys, change } = createCommands(ROTATED);
    change({ 'k1.retired': minutesAgo(60) });
    expect((await keys(['shred', 'k1', '--yes'])).exitCode).toBe(0);

    const { exitCode, stderr } = await keys(['add', 'k1']);

    expect(exitCode).toBe(2);
    expect(stderr).toContain('got one that the table was written with or that was shredded');
  });

  it.each([
    ['that the keyset has', 'k1', 'key "k1": the keyset has it already'],
    ['that no key can have', 'K-2', 'got 3 characters'],
    ['of the member that says which is primary', 'primary', 'got 7 characters'],
    ['that is material, without quoting it', MATERIAL, 'got 43 characters'],
  ])('refuses a name %s', async (_, kid, message) => {
    const { keys, text } = createCommands(FIRST);

    const { exitCode, stdout, stderr } = await keys(['add', kid]);

    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toMatch(/^vizard: .*\n$/);
    expect(stderr).toContain(message);
    expect(text()).toBe(FIRST);
    expect(await trail()).toEqual([]);
  });

  it('on trial says what it would do and does nothing', async () => {
    const { keys, text } = createCommands(FIRST);

    const { exitCode, stdout } = await keys(['add', '--dry-run']);

    expect(exitCode).toBe(0);
    expect(stdout).toContain('would: key "k2" added');
    expect(text()).toBe(FIRST);
    expect(await trail()).toEqual([]);
  });
});

describe('vizard keys', () => {
  it('changes nothing without a reason', async () => {
    const { cli, file, text } = createCommands(FIRST);

    const result = await cli.run(['keys', 'add', '--keyset', file, '--database-url', database.url]);

    expect(result).toMatchObject({ exitCode: 2, stdout: '' });
    expect(result.stderr).toContain('--reason');
    expect(text()).toBe(FIRST);
  });

  it('changes nothing where the keyset stands in the environment', async () => {
    const { cli } = createCommands(FIRST);

    const result = await cli.run(['keys', 'add', '--reason', REASON, '--database-url', database.url], {
      env: { MASKING_KEYSET: FIRST },
    });

    expect(result).toMatchObject({ exitCode: 2, stdout: '' });
    expect(result.stderr).toMatch(/^vizard: MASKING_KEYSET: expected a keyset that can be changed.*\n$/);
    expectNoMaterial(result, [FIRST]);
    expect(await trail()).toEqual([]);
  });

  it('shows nothing of a file that is no keyset', async () => {
    const { cli, file } = createCommands(MATERIAL);

    const result = await cli.run(['keys', 'list', '--keyset', file, '--database-url', database.url]);

    expect(result).toMatchObject({ exitCode: 2, stdout: '' });
    expect(result.stderr).not.toContain('CANARY');
  });
});
