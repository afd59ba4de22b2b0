/**
 * Sealing: what is sealed here only the holder of the private key opens again, so not whoever sealed it.
 *
 * A content key of 64 random bytes lives as long as one batch. It is encrypted once by RSAES-OAEP with SHA-256, also in
 * MGF1, and an empty label (RFC 8017 section 7.1; RSAES_OAEP_SHA_256 of AWS KMS). Values are encrypted under it by
 * AES-256-SIV (RFC 5297) with one component of associated data: the UTF-8 bytes of the column's domain. Text is padded as
 * that of recoverable tokens is.
 *
 * Not RSA or ECDH for each value: that takes 50 µs and more, where a batch may have 20,000 values.
 */
import {
  constants,
  createHash,
  createPublicKey,
  type KeyObject,
  privateDecrypt,
  publicEncrypt,
  randomFillSync,
} from 'node:crypto';
import { ConfigError } from '../errors.ts';
import type { MaskedColumn } from '../events/declaration.ts';
import { createAesSiv } from './aes-siv.ts';
import { type Cells, packCells, packPaddedCells } from './cells.ts';

/** Bits; what NIST SP 800-57 takes for as strong as AES-128, and the smallest that AWS KMS has above 2048. */
const LEAST_MODULUS = 3_072;
const CONTENT_KEY_BYTES = 64;
/** No library's default: some take SHA-1 for MGF1, which OpenSSL has as the digest where none is given. */
const OAEP = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' } as const;
const PEM = /^-----BEGIN ([A-Z ]+)-----/;
const utf8 = new TextEncoder();

/** The public half of a recovery key. */
export interface RecoveryKey {
  /** By which it is known: hex SHA-256 of its DER SubjectPublicKeyInfo (RFC 5280). */
  readonly fingerprint: string;
  createContentKey(): ContentKey;
}

/** Seals the values of one batch. */
export interface ContentKey {
  /** Itself, encrypted to the recovery key; as long as its modulus. */
  readonly sealedKey: Uint8Array;
  /** @returns for each value 16 bytes of V, then the ciphertext: as long as the value with its padding */
  seal(column: MaskedColumn, values: readonly Uint8Array[]): Cells;
  /** Overwrites it; copies inside of cipher objects stay until they are collected. Nothing is sealed afterwards. */
  destroy(): void;
}

/**
 * @param text PEM, or base64 of DER: a SubjectPublicKeyInfo
 * @param source where it came from, as errors name it
 * @throws ConfigError
 */
export function parseRecoveryKey(text: string, source: string): RecoveryKey {
  const publicKey = parsePublicKey(text.trim(), source);
  checkRecoveryKey(publicKey, source);
  const fingerprint = fingerprintOf(publicKey);
  return { fingerprint, createContentKey: () => createContentKey(publicKey) };
}

/** @param key either half @returns hex SHA-256 of the DER SubjectPublicKeyInfo */
export function fingerprintOf(key: KeyObject): string {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key;
  return createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex');
}

/** @throws ConfigError where the key, either half, is of another kind or too small */
export function checkRecoveryKey(key: KeyObject, source: string): void {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  const bits = details?.modulusLength ?? 0;
  if (type === 'rsa' && bits >= LEAST_MODULUS) return;
  const got = type === 'rsa' ? `one of ${bits} bits` : `a key for ${type}`;
  throw new ConfigError(
    `${source}: expected an RSA key of at least ${LEAST_MODULUS} bits, got ${got}; make one with \`vizard recovery-key new\``,
  );
}

/** @returns undefined where it was not sealed to this key, or has been altered */
export function openContentKey(privateKey: KeyObject, sealedKey: Uint8Array): Uint8Array | undefined {
  try {
    return checkContentKey(privateDecrypt({ key: privateKey, ...OAEP }, sealedKey));
  } catch {
    return undefined;
  }
}

/** @returns undefined for what no content key is, whoever decrypted it */
export function checkContentKey(key: Uint8Array): Uint8Array | undefined {
  return key.length === CONTENT_KEY_BYTES ? key : undefined;
}

function parsePublicKey(text: string, source: string): KeyObject {
  const label = PEM.exec(text)?.[1];
  if (label !== undefined && label !== 'PUBLIC KEY') {
    const advice = label.endsWith('PRIVATE KEY')
      ? 'give its public half, and keep this one where the function is not'
      : 'export it as SubjectPublicKeyInfo';
    throw new ConfigError(`${source}: expected PEM of PUBLIC KEY, got ${label}; ${advice}`);
  }
  try {
    return label === undefined
      ? createPublicKey({ key: Buffer.from(text, 'base64'), format: 'der', type: 'spki' })
      : createPublicKey(text);
  } catch {
    throw new ConfigError(
      `${source}: expected a public key as PEM or as base64 of its DER, got ${text.length} other characters`,
    );
  }
}

function createContentKey(publicKey: KeyObject): ContentKey {
  const key = randomFillSync(new Uint8Array(CONTENT_KEY_BYTES));
  const sealedKey = publicEncrypt({ key: publicKey, ...OAEP }, key);
  const ciphers = new Map<string, ReturnType<typeof createAesSiv>>();
  return {
    sealedKey,
    seal({ type, mask: { domain } }, values) {
      const siv = ciphers.get(domain) ?? createAesSiv(key, [utf8.encode(domain)]);
      ciphers.set(domain, siv);
      return siv.seal(type === 'address' ? packCells(values) : packPaddedCells(values));
    },
    destroy() {
      key.fill(0);
      ciphers.clear();
    },
  };
}
