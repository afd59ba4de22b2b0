import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseAddress } from '../../lambda/events/address.ts';
import { isMasked, type TableDeclaration } from '../../lambda/events/declaration.ts';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { cellAt } from '../../lambda/masking/cells.ts';
import { parseKeyset } from '../../lambda/masking/keyset.ts';
import { type CliResult, useCli } from '../support/cli.ts';
import { useDatabase } from '../support/database.ts';
import { useFunctions } from '../support/function.ts';
import { KMS_KEY_ARN, useKmsServer } from '../support/kms-server.ts';
import { KEYSET_JSON, loginEvent, record } from '../support/records.ts';
import { access, REASON } from '../support/recovery.ts';
import { createKeyPair, type KeyPair } from '../support/recovery-key.ts';
import { useVault } from '../support/vault.ts';

const database = useDatabase();
const createCli = useCli();
const createFunction = useFunctions();
const kms = useKmsServer();
const { keys } = useVault(database);
const others = createKeyPair();

const IP = '203.0.113.77';
const DEVICE = 'CANARY-DEVICE-1';
const LAYERED = JSON.stringify({ ...JSON.parse(KEYSET_JSON), primary: 'k2', 'k2.over': 'k1' });
const declaration: TableDeclaration = loginEvents;
const ADDRESS = declaration.columns.filter(isMasked).find(({ type }) => type === 'address')!;
const PASSPHRASE = 'CANARY-PASSPHRASE';

interface Tokens {
  readonly ip: string;
  readonly device: string;
}

/** Lets a function that seals store an event. @returns its tokens */
async function store(
  event: Record<string, unknown> = {},
  { recoveryKey }: Pick<KeyPair, 'recoveryKey'> = keys,
  keyset = KEYSET_JSON,
): Promise<Tokens> {
  const user = `user ${Math.random()}`;
  const source = parseKeyset(keyset);
  const { invoke } = createFunction({
    databaseUrl: database.url,
    masking: 'irreversible',
    recoveryKey,
    keysetSource: () => Promise.resolve(source),
  });
  const body = loginEvent({ user_id: user, ip: IP, device_id: DEVICE, ...event });
  expect(await invoke([record(body)])).toEqual([]);
  const [row] = await database.rows<Tokens>(
    'SELECT masked_ip AS ip, masked_device_id AS device FROM user_logins WHERE user_id = $1',
    [user],
  );
  return row!;
}

interface Asked {
  readonly keyset?: string;
  /** Private keys in files, in PKCS#8. */
  readonly privateKeys?: readonly KeyPair[];
  readonly passphrase?: string;
  readonly env?: Readonly<Record<string, string>>;
}

function recover(args: readonly string[], asked: Asked = {}): Promise<CliResult> {
  const { keyset = KEYSET_JSON, privateKeys = [], passphrase, env = {} } = asked;
  const cli = createCli();
  const files = privateKeys.flatMap(({ privateKey }, i) => {
    const file = join(cli.directory, `private-${i}.pem`);
    const protection = passphrase === undefined ? {} : { cipher: 'aes-256-cbc', passphrase };
    writeFileSync(file, privateKey.export({ type: 'pkcs8', format: 'pem', ...protection }));
    return ['--private-key', file];
  });
  return cli.run(['recover', ...access(database.url), ...files, ...args], {
    env: { MASKING_KEYSET: keyset, ...env },
  });
}

/** Complaints by position, without what they advise. */
function reasons({ stderr }: CliResult): string[] {
  return stderr.split('\n').slice(0, -1);
}

describe('a token whose value is sealed', () => {
  it('is opened with the private key, whatever column it is of', async () => {
    const { ip, device } = await store();
    const v6 = await store({ ip: '2001:DB8::00:7', device_id: ' Zürich ' });

    const { exitCode, stdout, stderr } = await recover([device, ip, v6.ip, v6.device, ip], {
      privateKeys: [keys],
    });

    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(stdout.split('\n')).toEqual([
      `${device}\t${DEVICE}`,
      `${ip}\t${IP}`,
      `${v6.ip}\t2001:db8::7`,
      `${v6.device}\tZürich`,
      `${ip}\t${IP}`,
      '',
    ]);
    expect(await database.rows('SELECT action, reason, count, kids FROM pii_audit')).toEqual([
      { action: 'recover', reason: REASON, count: '5', kids: ['k1'] },
    ]);
  });

  it('is opened beside recoverable ones of the time before', async () => {
    await createFunction({ databaseUrl: database.url }).invoke([record(loginEvent({ ip: '203.0.113.9' }))]);
    const [before] = await database.rows<{ ip: string }>('SELECT masked_ip AS ip FROM user_logins');
    const { ip } = await store();

    const { stdout } = await recover([ip, before!.ip], { privateKeys: [keys] });

    expect(stdout).toBe(`${ip}\t${IP}\n${before!.ip}\t203.0.113.9\n`);
  });

  it('is opened whichever of several keys it was sealed to', async () => {
    const first = await store();
    const second = await store({ ip: '203.0.113.78' }, others);

    const { stdout } = await recover([first.ip, second.ip], { privateKeys: [others, keys] });

    expect(stdout).toBe(`${first.ip}\t${IP}\n${second.ip}\t203.0.113.78\n`);
  });

  it('is opened with a key that has a passphrase, which is never shown', async () => {
    const { ip } = await store();
    const asked = { privateKeys: [keys], passphrase: PASSPHRASE };
    const withPassphrase = (RECOVERY_KEY_PASSPHRASE: string) =>
      recover([ip], { ...asked, env: { RECOVERY_KEY_PASSPHRASE } });

    expect(await withPassphrase(PASSPHRASE)).toMatchObject({ stdout: `${ip}\t${IP}\n`, stderr: '' });
    for (const wrong of [await withPassphrase('another'), await recover([ip], asked)]) {
      expect(wrong).toMatchObject({ exitCode: 2, stdout: '' });
      expect(wrong.stderr).toMatch(/^vizard: private key [^\n]*RECOVERY_KEY_PASSPHRASE[^\n]*\n$/);
      expect(wrong.stderr).not.toContain(PASSPHRASE);
    }
  });

  it('stays closed without its private key, and says which one that is', async () => {
    const { ip } = await store();
    const sealed = `token 1: is sealed: name the private key of this fingerprint with --private-key or --recovery-kms-key (${keys.recoveryKey.fingerprint})`;

    for (const privateKeys of [[], [others]]) {
      const result = await recover([ip], { privateKeys });

      expect(result).toMatchObject({ exitCode: 1, stdout: '' });
      expect(reasons(result)).toEqual([sealed]);
    }
  });
});

describe('with a key of AWS KMS', () => {
  const withKms = (tokens: readonly string[], ...further: string[]) =>
    recover([...tokens, '--recovery-kms-key', KMS_KEY_ARN, ...further], { env: kms.env() });

  it('a value is opened, with one call for each content key', async () => {
    kms.keys.set(KMS_KEY_ARN, keys.privateKey);
    const { ip, device } = await store();
    const second = await store({ ip: '203.0.113.78' });

    const { stdout, stderr } = await withKms([ip, device, second.ip]);

    expect({ stdout, stderr }).toEqual({
      stdout: `${ip}\t${IP}\n${device}\t${DEVICE}\n${second.ip}\t203.0.113.78\n`,
      stderr: '',
    });
    expect(kms.requests).toEqual(Array(2).fill(`Decrypt ${KMS_KEY_ARN} RSAES_OAEP_SHA_256`));
  });

  it('a value that is sealed to another stays closed', async () => {
    kms.keys.set(KMS_KEY_ARN, others.privateKey);
    const { ip } = await store();

    const result = await withKms([ip]);

    expect(result).toMatchObject({ exitCode: 1, stdout: '' });
    expect(result.stderr).toContain(keys.recoveryKey.fingerprint);
  });

  it.each([
    ['AccessDeniedException', 'log in as somebody who is allowed kms:Decrypt'],
    ['NotFoundException', 'name the ARN of a key that is there'],
    ['DisabledException', 'have it enabled'],
    ['ThrottlingException', 'see whether AWS KMS can be reached'],
  ])('that answers %s nothing is shown or audited', async (error, advice) => {
    kms.keys.set(KMS_KEY_ARN, { error });
    const { ip } = await store();

    const result = await withKms([ip]);

    expect(result).toMatchObject({ exitCode: 2, stdout: '' });
    expect(result.stderr).toMatch(/^vizard: --recovery-kms-key: [^\n]+\n$/);
    expect(result.stderr).toContain(advice);
    expect(result.stderr).not.toContain('CANARY');
    expect(await database.rows('SELECT FROM pii_audit')).toEqual([]);
  });
});

describe('a vault that was tampered with', () => {
  const ALTERED = 'token 1: was altered, or made for another table, or with another key of the same name';

  it.each([
    [
      'a value under another token',
      `UPDATE user_logins_vault SET (key_id, sealed) = (SELECT key_id, sealed FROM user_logins_vault WHERE token = $2) WHERE token = $1 AND $2 <> $3`,
    ],
    [
      'the value of another column',
      `UPDATE user_logins_vault SET (key_id, sealed) = (SELECT key_id, sealed FROM user_logins_vault WHERE token = $3) WHERE token = $1 AND $2 <> ''`,
    ],
    [
      'an altered value',
      `UPDATE user_logins_vault SET sealed = set_byte(sealed, 3, get_byte(sealed, 3) # 1) WHERE token = $1 AND $2 <> $3`,
    ],
    [
      'a value cut short',
      `UPDATE user_logins_vault SET sealed = substr(sealed, 1, 8) WHERE token = $1 AND $2 <> $3`,
    ],
    [
      'an altered content key',
      `UPDATE user_logins_vault_keys SET sealed_key = set_byte(sealed_key, 3, 0) WHERE $1 <> $2 AND $2 <> $3`,
    ],
  ])('gives nothing out for %s', async (_name, tamper) => {
    const first = await store();
    const second = await store({ ip: '203.0.113.78', device_id: 'another' });
    await database.client.query(tamper, [first.ip, second.ip, first.device]);

    const result = await recover([first.ip], { privateKeys: [keys] });

    expect(result).toMatchObject({ exitCode: 1, stdout: '' });
    expect(reasons(result)).toEqual([ALTERED]);
  });

  it('gives nothing out for a value that somebody else has sealed, as anybody can who has the public key', async () => {
    const { ip } = await store();
    const contentKey = keys.recoveryKey.createContentKey();
    const forged = contentKey.seal(ADDRESS, [parseAddress('203.0.113.66')!]);
    await database.client.query(
      `WITH key AS (INSERT INTO user_logins_vault_keys VALUES (gen_random_uuid(), $2, $3, current_date) RETURNING id)
       UPDATE user_logins_vault SET key_id = key.id, sealed = $4 FROM key WHERE token = $1`,
      [ip, keys.recoveryKey.fingerprint, contentKey.sealedKey, Buffer.from(cellAt(forged, 0))],
    );

    const result = await recover([ip], { privateKeys: [keys] });

    expect(result).toMatchObject({ exitCode: 1, stdout: '' });
    expect(reasons(result)).toEqual([ALTERED]);
  });

  it('says of a token that is not there that nobody recovers it', async () => {
    const { ip, device } = await store();
    await database.client.query('DELETE FROM user_logins_vault WHERE token = $1', [ip]);

    const result = await recover([ip, device], { privateKeys: [keys] });

    expect(result).toMatchObject({ exitCode: 1, stdout: `${device}\t${DEVICE}\n` });
    expect(reasons(result)).toEqual([
      'token 1: is not in the vault: nobody recovers it, look a known value up with `vizard lookup`',
    ]);
  });
});

it('says of a value whose content key is gone that it is there, and what is not', async () => {
  const { ip } = await store();
  await database.client.query('DELETE FROM user_logins_vault_keys');

  const result = await recover([ip], { privateKeys: [keys] });

  expect(result).toMatchObject({ exitCode: 1, stdout: '' });
  expect(reasons(result)).toEqual([
    'token 1: is in the vault without the content key that opens it: nobody recovers it, unless a backup has the row of user_logins_vault_keys',
  ]);
});

describe('while a table is rewritten from one key to the next', () => {
  const asked = { privateKeys: [keys], keyset: LAYERED };
  const rewrite = (before: Tokens, after: Tokens) =>
    database.client.query(
      `UPDATE user_logins_vault SET token = CASE token WHEN $1 THEN $2 ELSE $4 END WHERE token IN ($1, $3)`,
      [before.ip, after.ip, before.device, after.device],
    );

  it('values are opened by tokens of both keys, those of the one that is layered over the other too', async () => {
    const before = await store();
    const after = await store({ ip: '203.0.113.78', device_id: 'another' }, keys, LAYERED);

    const { stdout } = await recover([before.ip, after.ip], asked);

    expect(stdout).toBe(`${before.ip}\t${IP}\n${after.ip}\t203.0.113.78\n`);
  });

  it('a token from before, of an export say, is opened when the vault has the new one', async () => {
    const before = await store();
    const after = await store({}, keys, LAYERED);
    await database.client.query('DELETE FROM user_logins_vault WHERE token IN ($1, $2)', [
      after.ip,
      after.device,
    ]);
    await rewrite(before, after);

    const { stdout } = await recover([before.ip, before.device, after.ip], asked);

    expect(stdout).toBe(`${before.ip}\t${IP}\n${before.device}\t${DEVICE}\n${after.ip}\t${IP}\n`);
  });

  it('a new token is opened by its alias when the vault has the one from before', async () => {
    const before = await store();
    const after = await store({}, keys, LAYERED);
    await database.client.query('DELETE FROM user_logins_vault WHERE token = $1', [after.ip]);
    await database.client.query(
      'CREATE TABLE IF NOT EXISTS user_logins_aliases (token text PRIMARY KEY, current text NOT NULL)',
    );
    await database.client.query('INSERT INTO user_logins_aliases VALUES ($1, $2)', [before.ip, after.ip]);

    const { stdout } = await recover([after.ip], asked);

    expect(stdout).toBe(`${after.ip}\t${IP}\n`);
    await database.client.query('DELETE FROM user_logins_aliases');
  });

  it('an alias that leads to the value of another gives nothing out', async () => {
    const before = await store();
    const { ip } = await store({ ip: '203.0.113.78' }, keys, LAYERED);
    await database.client.query('DELETE FROM user_logins_vault WHERE token = $1', [ip]);
    await database.client.query(
      'CREATE TABLE IF NOT EXISTS user_logins_aliases (token text PRIMARY KEY, current text NOT NULL)',
    );
    await database.client.query('INSERT INTO user_logins_aliases VALUES ($1, $2)', [before.ip, ip]);

    const result = await recover([ip], asked);

    expect(result).toMatchObject({ exitCode: 1, stdout: '' });
    expect(reasons(result)[0]).toContain('was altered');
    await database.client.query('DELETE FROM user_logins_aliases');
  });
});

describe('on the whole', () => {
  /** A command with the keyset in a file, which commands change. */
  function withKeysetFile() {
    const cli = createCli();
    const file = join(cli.directory, 'keyset.json');
    writeFileSync(file, KEYSET_JSON);
    writeFileSync(
      join(cli.directory, 'private.pem'),
      keys.privateKey.export({ type: 'pkcs8', format: 'pem' }),
    );
    const place = ['--database-url', database.url, '--keyset', file, '--reason', REASON];
    return async (...args: readonly string[]) => {
      const result = await cli.run([...args, ...place]);
      expect(result.exitCode, result.stderr).toBe(0);
      return result;
    };
  }

  it('after a rekey every value opens by its token of before and by the one of after', async () => {
    const vizard = withKeysetFile();
    const before = await store();
    await vizard('keys', 'promote', 'k2', '--now');
    await vizard('rekey', '--from', 'k1', '--to', 'k2', '--now');
    const after = await database.rows<Tokens>(
      'SELECT masked_ip AS ip, masked_device_id AS device FROM user_logins',
    );
    expect(after[0]!.ip).toMatch(/^h1~k2~/);

    const tokens = [before.ip, before.device, after[0]!.ip, after[0]!.device];
    const { stdout } = await vizard('recover', ...tokens, '--private-key', 'private.pem');

    expect(stdout.split('\n').map((line) => line.split('\t')[1])).toEqual([
      IP,
      DEVICE,
      IP,
      DEVICE,
      undefined,
    ]);
  });

  it('what was erased is not in the vault, and is there again when it comes again', async () => {
    const vizard = withKeysetFile();
    const { ip } = await store();
    await vizard('erase', '--ip', IP, '--yes');

    const gone = await recover([ip], { privateKeys: [keys] });
    expect(reasons(gone)[0]).toContain('is not in the vault');

    expect(await store()).toMatchObject({ ip });
    expect(await recover([ip], { privateKeys: [keys] })).toMatchObject({ stdout: `${ip}\t${IP}\n` });
  });
});
