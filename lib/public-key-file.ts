import { createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** 128 bits of security, as NIST SP 800-57 has it. The functions refuse smaller ones too. */
const LEAST_MODULUS_BITS = 3072;

/**
 * Reads the public half of a recovery key. A file with a private key is none: its place is not where one deploys.
 *
 * @returns base64 of its DER SubjectPublicKeyInfo (RFC 5280), or undefined for anything but an RSA key of 3,072 bits or more
 */
export function readPublicKey(file: string): string | undefined {
  try {
    const pem = readFileSync(file, 'utf8');
    if (!/^-----BEGIN PUBLIC KEY-----\r?\n/.test(pem)) return undefined;
    const key = createPublicKey(pem);
    const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
    if (key.asymmetricKeyType !== 'rsa' || bits < LEAST_MODULUS_BITS) return undefined;
    return key.export({ format: 'der', type: 'spki' }).toString('base64');
  } catch {
    return undefined;
  }
}
