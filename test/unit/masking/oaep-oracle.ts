/** RSAES-OAEP-DECRYPT of RFC 8017 section 7.1.2 once more, with SHA-256 and an empty label, on numbers alone. */
import { createHash, type KeyObject } from 'node:crypto';

const HASH_BYTES = 32;
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest();

/** @throws Error where the padding is not that of OAEP */
export function oaepDecrypt(privateKey: KeyObject, ciphertext: Uint8Array): Uint8Array {
  const { n = '', d = '' } = privateKey.export({ format: 'jwk' });
  const length = Buffer.from(n, 'base64url').length;
  const message = power(
    toInteger(ciphertext),
    toInteger(Buffer.from(d, 'base64url')),
    toInteger(Buffer.from(n, 'base64url')),
  );
  const encoded = Buffer.from(message.toString(16).padStart(2 * length, '0'), 'hex');
  const maskedSeed = encoded.subarray(1, 1 + HASH_BYTES);
  const maskedBlock = encoded.subarray(1 + HASH_BYTES);
  const seed = xor(maskedSeed, generateMask(maskedBlock, HASH_BYTES));
  const block = xor(maskedBlock, generateMask(seed, maskedBlock.length));
  const separator = block.indexOf(1, HASH_BYTES);
  const isPadding = block.subarray(HASH_BYTES, separator).every((byte) => byte === 0);
  const label = sha256(new Uint8Array()).equals(block.subarray(0, HASH_BYTES));
  if (encoded[0] !== 0 || !label || separator < 0 || !isPadding) throw new Error('decryption error');
  return block.subarray(separator + 1);
}

/** MGF1 of RFC 8017 appendix B.2.1. */
function generateMask(seed: Uint8Array, length: number): Buffer {
  const blocks: Buffer[] = [];
  for (let counter = 0; counter * HASH_BYTES < length; counter++) {
    const octets = Buffer.alloc(4);
    octets.writeUInt32BE(counter);
    blocks.push(sha256(Buffer.concat([seed, octets])));
  }
  return Buffer.concat(blocks).subarray(0, length);
}

function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n;
  for (let square = base, left = exponent; left > 0n; left >>= 1n, square = (square * square) % modulus) {
    if (left & 1n) result = (result * square) % modulus;
  }
  return result;
}

function toInteger(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
}

function xor(a: Uint8Array, b: Uint8Array): Buffer {
  return Buffer.from(a.map((byte, i) => byte ^ b[i]!));
}
