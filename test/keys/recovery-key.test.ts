import { createPrivateKey, createPublicKey } from 'node:crypto';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { fingerprintOf } from '../../lambda/masking/sealing.ts';
import { type Cli, useCli } from '../support/cli.ts';
import { useDatabase } from '../support/database.ts';
import { KEYSET_JSON, loginEvent } from '../support/records.ts';

const createCli = useCli();
const database = useDatabase({ empty: true });

const PRIVATE = 'recovery-private.pem';
const PUBLIC = 'recovery-public.pem';
const read = ({ directory }: Cli, file: string) => readFileSync(join(directory, file), 'utf8');

describe('vizard recovery-key new', () => {
  it('makes a pair of 3072 bits, the private half for its owner only, and shows nothing of it', async () => {
    const cli = createCli();

    const { exitCode, stdout, stderr } = await cli.run(['recovery-key', 'new', '--out', '.']);

    expect(exitCode).toBe(0);
    const privateKey = createPrivateKey(read(cli, PRIVATE));
    expect(privateKey.asymmetricKeyDetails?.modulusLength).toBe(3_072);
    expect(stdout).toBe(`${fingerprintOf(privateKey)}\n`);
    expect(fingerprintOf(createPublicKey(read(cli, PUBLIC)))).toBe(stdout.trim());
    expect(read(cli, PUBLIC)).toMatch(/^-----BEGIN PUBLIC KEY-----/);
    expect(statSync(join(cli.directory, PRIVATE)).mode & 0o777).toBe(0o600);
    expect(stderr).toMatch(/^give the function [^\n]+ keep [^\n]+ away from it[^\n]+\n$/);
    expect(stdout + stderr).not.toContain(read(cli, PRIVATE).split('\n')[1]);
  });

  it('encrypts the private half where there is a passphrase, and says where both are as JSON', async () => {
    const cli = createCli();
    const env = { RECOVERY_KEY_PASSPHRASE: 'CANARY-PASSPHRASE' };

    const result = await cli.run(['recovery-key', 'new', '--private', 'a', '--public', 'b', '--json'], {
      env,
    });

    expect(result.json()).toEqual({ fingerprint: expect.any(String), privateKey: 'a', publicKey: 'b' });
    expect(read(cli, 'a')).toMatch(/^-----BEGIN ENCRYPTED PRIVATE KEY-----/);
    const opened = createPrivateKey({ key: read(cli, 'a'), passphrase: env.RECOVERY_KEY_PASSPHRASE });
    expect(result.json()).toMatchObject({ fingerprint: fingerprintOf(opened) });
    expect(result.stdout + result.stderr).not.toContain('CANARY');
  });

  it.each([PRIVATE, PUBLIC])('never writes over a file: %s', async (file) => {
    const cli = createCli();
    writeFileSync(join(cli.directory, file), 'mine');

    const { exitCode, stdout, stderr } = await cli.run(['recovery-key', 'new', '--out', '.']);

    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toMatch(/^vizard: [^\n]*expected no such file[^\n]*\n$/);
    expect(read(cli, file)).toBe('mine');
    expect([PRIVATE, PUBLIC].filter((name) => existsSync(join(cli.directory, name)))).toEqual([file]);
  });

  it.each([
    ['no place', []],
    ['half of one', ['--private', 'a']],
    ['one place for both', ['--private', 'a', '--public', 'a']],
    ['two places', ['--out', '.', '--private', 'a', '--public', 'b']],
    ['a folder that is not there', ['--out', 'nowhere']],
  ])('asks for %s in one line, and leaves nothing', async (_name, args) => {
    const cli = createCli();

    const { exitCode, stderr } = await cli.run(['recovery-key', 'new', ...args]);

    expect(exitCode).toBe(2);
    expect(stderr).toMatch(/^vizard: [^\n]+\n$/);
    expect(existsSync(join(cli.directory, 'a'))).toBe(false);
  });
});

describe('vizard run --recovery-key', () => {
  const run = (cli: Cli, ...args: string[]) =>
    cli.run(['run', '--input', '-', '--database-url', database.url, '--json', ...args], {
      input: JSON.stringify(loginEvent({ ip: '203.0.113.77' })),
      env: { MASKING_KEYSET: KEYSET_JSON },
    });

  it('seals what the private half opens, without being told that tokens are to be irreversible', async () => {
    const cli = createCli();
    await cli.run(['recovery-key', 'new', '--out', '.']);

    expect((await run(cli, '--recovery-key', PUBLIC)).json()).toMatchObject({ stored: 1 });

    const [row] = await database.rows<{ ip: string }>('SELECT masked_ip AS ip FROM user_logins');
    expect(row!.ip).toMatch(/^h1~k1~/);
    const asked = ['--database-url', database.url, '--reason', 'a ticket', '--private-key', PRIVATE];
    const recovered = await cli.run(['recover', row!.ip, ...asked], { env: { MASKING_KEYSET: KEYSET_JSON } });
    expect(recovered).toMatchObject({ exitCode: 0, stdout: `${row!.ip}\t203.0.113.77\n` });
  });

  it('is refused with tokens that the keyset opens, before anything is sent', async () => {
    const cli = createCli();
    await cli.run(['recovery-key', 'new', '--out', '.']);

    const { exitCode, stderr } = await run(cli, '--recovery-key', PUBLIC, '--masking', 'recoverable');

    expect(exitCode).toBe(2);
    expect(stderr).toBe(
      'vizard: --masking: expected irreversible because --recovery-key is given, got recoverable; leave it out\n',
    );
  });

  it.each([
    ['the private half', PRIVATE, 'got PRIVATE KEY'],
    ['a file that is not there', 'nowhere.pem', '(ENOENT)'],
  ])('is refused with %s', async (_name, file, complaint) => {
    const cli = createCli();
    await cli.run(['recovery-key', 'new', '--out', '.']);

    const { exitCode, stderr } = await run(cli, '--recovery-key', file);

    expect(exitCode).toBe(2);
    expect(stderr).toMatch(/^vizard: recovery key [^\n]+\n$/);
    expect(stderr).toContain(complaint);
  });
});
