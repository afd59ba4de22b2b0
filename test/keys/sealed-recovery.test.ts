import { constants, generateKeyPairSync, publicEncrypt } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { parseAddress } from '../../lambda/events/address.ts';
import { isMasked, type TableDeclaration } from '../../lambda/events/declaration.ts';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { cellAt } from '../../lambda/masking/cells.ts';
import { KMS_KEY_ARN, useKmsServer } from '../support/kms-server.ts';
import { KEYSET_JSON, loginEvent, record } from '../support/records.ts';
import { REASON } from '../support/recovery.ts';
import { createKeyPair } from '../support/recovery-key.ts';
import { DEVICE, IP, LAYERED, reasons, useSealedRecovery } from '../support/sealed-recovery.ts';

const { database, createFunction, keys, store, recover } = useSealedRecovery();
const kms = useKmsServer();
const others = createKeyPair();

const declaration: TableDeclaration = loginEvents;
const ADDRESS = declaration.columns.filter(isMasked).find(({ type }) => type === 'address')!;
const PASSPHRASE = 'CANARY-PASSPHRASE';

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

  it('is not opened by a key of another kind, which is said', async () => {
    const { ip } = await store();
    const { privateKey } = generateKeyPairSync('x25519');

    const result = await recover([ip], { privateKeys: [{ ...keys, privateKey }] });

    expect(result).toMatchObject({ exitCode: 2, stdout: '' });
    expect(result.stderr).toMatch(
      /^vizard: private key [^\n]+ expected an RSA key of at least 3072 bits, got a key for x25519[^\n]+\n$/,
    );
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

it('a token of a key that the keyset lacks is reported, and the rest is opened', async () => {
  const first = await store();
  const second = await store({ ip: '203.0.113.78' }, keys, LAYERED);
  const { k1 } = JSON.parse(KEYSET_JSON) as Record<string, string>;

  const result = await recover([second.ip, first.ip], {
    privateKeys: [keys],
    keyset: JSON.stringify({ primary: 'k1', k1 }),
  });

  expect(result).toMatchObject({ exitCode: 1, stdout: `${first.ip}\t${IP}\n` });
  expect(reasons(result)).toEqual([
    'token 1: was made with a key that is not in the keyset: nobody recovers it without that key (k2)',
  ]);
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

  it('what was sealed to it and is no content key closes its own value, and no other', async () => {
    kms.keys.set(KMS_KEY_ARN, keys.privateKey);
    const forged = await store();
    const short = publicEncrypt(
      { key: keys.publicPem, oaepHash: 'sha256', padding: constants.RSA_PKCS1_OAEP_PADDING },
      Buffer.alloc(16),
    );
    await database.client.query('UPDATE user_logins_vault_keys SET sealed_key = $1', [short]);
    const { ip } = await store({ ip: '203.0.113.78' });

    const result = await withKms([forged.ip, ip]);

    expect(result).toMatchObject({ exitCode: 1, stdout: `${ip}\t203.0.113.78\n` });
    expect(reasons(result)).toHaveLength(1);
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
