import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { aessiv } from '@noble/ciphers/aes.js';
import { describe, expect, it } from 'vitest';
import { MAX_MASKED_TEXT_BYTES, type MaskedColumn } from '../../../lambda/events/declaration.ts';
import { openValues } from '../../../lambda/masking/open-tokens.ts';
import {
  checkContentKey,
  checkRecoveryKey,
  fingerprintOf,
  openContentKey,
  parseRecoveryKey,
} from '../../../lambda/masking/sealing.ts';
import { hex, hexAll, sampleBytes, sampleText, unpack } from './bytes.ts';
import { oaepDecrypt } from './oaep-oracle.ts';

const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 3072 });
const other = generateKeyPairSync('rsa', { modulusLength: 3072 });
const pem = (key: KeyObject) => key.export({ type: 'spki', format: 'pem' }).toString();
const der = publicKey.export({ type: 'spki', format: 'der' });
const recoveryKey = parseRecoveryKey(pem(publicKey), 'test');

const text: MaskedColumn = { column: 't', source: ['t'], type: 'text', mask: { domain: 'device_id' } };
const address: MaskedColumn = { column: 'a', source: ['a'], type: 'address', mask: { domain: 'ip' } };

describe('a content key', () => {
  it('has 64 random bytes, which the private key opens', () => {
    const keys = [1, 2].map(() => openContentKey(privateKey, recoveryKey.createContentKey().sealedKey)!);

    expect(keys.map(({ length }) => length)).toEqual([64, 64]);
    expect(hex(keys[0]!)).not.toBe(hex(keys[1]!));
  });

  it('is sealed as RFC 8017 has it: RSAES-OAEP, SHA-256 for both hashes, no label', () => {
    const { sealedKey } = recoveryKey.createContentKey();

    expect(sealedKey).toHaveLength(384);
    expect(hex(oaepDecrypt(privateKey, sealedKey))).toBe(hex(openContentKey(privateKey, sealedKey)!));
  });

  it('is opened by no other key, nor when one bit of it was altered', () => {
    const { sealedKey } = recoveryKey.createContentKey();

    expect(openContentKey(other.privateKey, sealedKey)).toBeUndefined();
    for (const place of [0, 100, 383]) {
      const altered = Uint8Array.from(sealedKey);
      altered[place]! ^= 1;
      expect(openContentKey(privateKey, altered)).toBeUndefined();
    }
    expect(openContentKey(privateKey, sealedKey.subarray(1))).toBeUndefined();
  });

  it('is none of another length', () => {
    expect(checkContentKey(new Uint8Array(63))).toBeUndefined();
    expect(checkContentKey(new Uint8Array(64))).toHaveLength(64);
  });

  it('is overwritten when it is destroyed: what would be sealed then is open to everybody', () => {
    const contentKey = recoveryKey.createContentKey();
    contentKey.destroy();

    const [sealed] = unpack(contentKey.seal(address, [sampleBytes(16, 1)]));

    const zeros = aessiv(new Uint8Array(64), new TextEncoder().encode('ip'));
    expect(hex(zeros.decrypt(sealed!))).toBe(hex(sampleBytes(16, 1)));
  });
});

describe('values', () => {
  it('of every length come back, and say of their length no more than a block', () => {
    const values = Array.from({ length: MAX_MASKED_TEXT_BYTES + 1 }, (_, length) =>
      sampleText(length, length),
    );
    const contentKey = recoveryKey.createContentKey();

    const sealed = unpack(contentKey.seal(text, values));

    const key = openContentKey(privateKey, contentKey.sealedKey)!;
    expect(hexAll(openValues(key, text, sealed))).toEqual(hexAll(values));
    expect(sealed.map(({ length }) => length)).toEqual(
      values.map(({ length }) => 32 + 16 * Math.floor(length / 16)),
    );
  });

  it('are sealed as another library has AES-SIV, with the domain as associated data', () => {
    const value = sampleBytes(16, 'address');
    const contentKey = recoveryKey.createContentKey();

    const [sealed] = unpack(contentKey.seal(address, [value]));

    const key = oaepDecrypt(privateKey, contentKey.sealedKey);
    expect(hex(aessiv(key, new TextEncoder().encode('ip')).encrypt(value))).toBe(hex(sealed!));
  });

  it('open neither in another domain, nor under another content key, nor when one bit of them was altered', () => {
    const contentKey = recoveryKey.createContentKey();
    const key = openContentKey(privateKey, contentKey.sealedKey)!;
    const [sealed] = unpack(contentKey.seal(address, [sampleBytes(16, 2)]));
    const foreign: MaskedColumn = { ...address, mask: { domain: 'ip_network' } };

    expect(openValues(key, foreign, [sealed!])).toEqual([undefined]);
    expect(openValues(sampleBytes(64, 3), address, [sealed!])).toEqual([undefined]);
    for (let place = 0; place < sealed!.length; place++) {
      const altered = Uint8Array.from(sealed!);
      altered[place]! ^= 0x80;
      expect(openValues(key, address, [altered])).toEqual([undefined]);
    }
  });
});

describe('a recovery key', () => {
  it('is read from PEM and from base64 of DER, and has one fingerprint by both and by its private half', () => {
    const fingerprint = createHash('sha256').update(der).digest('hex');

    expect(recoveryKey.fingerprint).toBe(fingerprint);
    expect(parseRecoveryKey(`\n${der.toString('base64')}\n`, 'test').fingerprint).toBe(fingerprint);
    expect(fingerprintOf(privateKey)).toBe(fingerprint);
  });

  const small = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pss = generateKeyPairSync('rsa-pss', { modulusLength: 3072 });
  const curve = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const secret = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const old = publicKey.export({ type: 'pkcs1', format: 'pem' }).toString();

  it.each([
    [
      'a smaller one',
      pem(small.publicKey),
      'expected an RSA key of at least 3072 bits, got one of 2048 bits',
    ],
    ['one for signatures', pem(pss.publicKey), 'got a key for rsa-pss'],
    ['one of a curve', pem(curve.publicKey), 'got a key for ec'],
    ['a private one', secret, 'got PRIVATE KEY; give its public half'],
    ['one in PKCS#1', old, 'got RSA PUBLIC KEY; export it as SubjectPublicKeyInfo'],
    ['other text', 'CANARY', 'got 6 other characters'],
    ['PEM of nothing', '-----BEGIN PUBLIC KEY-----\nCANARY\n-----END PUBLIC KEY-----', 'other characters'],
    [
      'base64 of a private one',
      privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64'),
      'other characters',
    ],
  ])('is not %s, and no complaint shows what was given', (_name, given, complaint) => {
    const parse = () => parseRecoveryKey(given, 'RECOVERY_PUBLIC_KEY');

    expect(parse).toThrow(/^RECOVERY_PUBLIC_KEY: [^\n]*$/);
    expect(parse).toThrow(complaint);
    expect(parse).not.toThrow(/CANARY|MII/);
  });

  it('is as large in its private half', () => {
    expect(() => checkRecoveryKey(small.privateKey, 'private key f')).toThrow(
      'private key f: expected an RSA key',
    );
    expect(() => checkRecoveryKey(privateKey, 'f')).not.toThrow();
  });
});
