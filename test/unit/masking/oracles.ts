/** The tokens of the design once more, a value at a time, on other code than the masker's. */
import { createHmac, hkdfSync } from 'node:crypto';
import { aessiv } from '@noble/ciphers/aes.js';
import type { MaskedColumn } from '../../../lambda/events/declaration.ts';

export interface OracleKey {
  readonly kid: string;
  readonly material: string;
}

function derive({ kid, material }: OracleKey, scheme: string, length: number): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', material, '', `vizard:${scheme}:${kid}`, length));
}

/** Associated data: the domain. Plaintext: an address as it is, text with ISO/IEC 7816-4 padding. */
export function recoverableToken(key: OracleKey, { type, mask }: MaskedColumn, value: Uint8Array): string {
  const cipher = aessiv(derive(key, 's1', 64), new TextEncoder().encode(mask.domain));
  const sealed = cipher.encrypt(type === 'address' ? value : padded(value));
  return `s1~${key.kid}~${Buffer.from(sealed).toString('base64url')}`;
}

export function irreversibleToken(key: OracleKey, { mask }: MaskedColumn, value: Uint8Array): string {
  const mac = createHmac('sha256', derive(key, 'h1', 32))
    .update(mask.domain, 'utf8')
    .update('\0')
    .update(value);
  return `h1~${key.kid}~${mac.digest('base64url')}`;
}

function padded(value: Uint8Array): Uint8Array {
  const bytes = [...value, 0x80];
  while (bytes.length % 16 !== 0) bytes.push(0);
  return Uint8Array.from(bytes);
}
