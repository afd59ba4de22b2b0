/**
 * AES-SIV (RFC 5297) over a batch of values in lockstep.
 *
 * SIV has two passes: S2V, a chain of AES-CMACs (RFC 4493) that makes the synthetic IV V out of associated data
 * and plaintext, and AES-CTR under V. Both need nothing but the AES block function, and the n-th block of one value
 * does not depend on the n-th block of another. So the batch takes one AES-ECB call for each block position of the
 * CMACs and one for all key streams, where a cipher object for each value would cost fifty times as much.
 */
import { createCipheriv, timingSafeEqual } from 'node:crypto';
import { type Cells, cellAt, cellCount } from './cells.ts';

const BLOCK = 16;
const WORDS = 4;

/** The two halves of an AES-SIV key of 32, 48 or 64 bytes (RFC 5297 section 2.2). */
export interface SivKey {
  /** K1, for S2V. */
  readonly mac: Uint8Array;
  /** K2, for CTR. */
  readonly ctr: Uint8Array;
}

/** @throws Error when the key has another length than 32, 48 or 64 bytes */
export function sivKey(bytes: Uint8Array): SivKey {
  if (![32, 48, 64].includes(bytes.length)) {
    throw new Error(`AES-SIV key: expected 32, 48 or 64 bytes, got ${bytes.length}`);
  }
  return { mac: bytes.subarray(0, bytes.length / 2), ctr: bytes.subarray(bytes.length / 2) };
}

/**
 * Encrypts every cell (RFC 5297 section 2.6). Equal plaintexts give equal outputs; neither the order nor the size
 * of the batch has any influence.
 *
 * @param associatedData the components S1..Sn-1 of S2V, the same for every cell
 * @returns for each cell the 16 bytes of V, then as many bytes of ciphertext as of plaintext
 */
export function sealCells(key: SivKey, associatedData: readonly Uint8Array[], plaintexts: Cells): Cells {
  const count = cellCount(plaintexts);
  const ivs = s2v(key, associatedData, plaintexts);
  const stream = keyStream(key, ivs, plaintexts.offsets);
  const offsets = Uint32Array.from(plaintexts.offsets, (offset, i) => offset + i * BLOCK);
  const bytes = new Uint8Array(plaintexts.bytes.length + count * BLOCK);
  let block = 0;
  for (let i = 0; i < count; i++) {
    const from = plaintexts.offsets[i]!;
    const length = plaintexts.offsets[i + 1]! - from;
    const to = offsets[i]! + BLOCK;
    for (let b = 0; b < BLOCK; b++) bytes[to - BLOCK + b] = ivs[i * BLOCK + b]!;
    for (let b = 0; b < length; b++) bytes[to + b] = plaintexts.bytes[from + b]! ^ stream[block * BLOCK + b]!;
    block += blocksOf(length);
  }
  return { bytes, offsets };
}

/**
 * Decrypts every cell (RFC 5297 section 2.7).
 *
 * @returns the plaintexts; undefined for a cell that this key did not make with this associated data
 */
export function openCells(
  key: SivKey,
  associatedData: readonly Uint8Array[],
  sealed: readonly Uint8Array[],
): (Uint8Array | undefined)[] {
  const whole = sealed.filter((cell) => cell.length >= BLOCK);
  const ivs = new Uint8Array(whole.length * BLOCK);
  const offsets = new Uint32Array(whole.length + 1);
  whole.forEach((cell, i) => {
    ivs.set(cell.subarray(0, BLOCK), i * BLOCK);
    offsets[i + 1] = offsets[i]! + cell.length - BLOCK;
  });
  const stream = keyStream(key, ivs, offsets);
  const bytes = new Uint8Array(offsets[whole.length]!);
  let block = 0;
  whole.forEach((cell, i) => {
    const length = cell.length - BLOCK;
    for (let b = 0; b < length; b++) bytes[offsets[i]! + b] = cell[BLOCK + b]! ^ stream[block * BLOCK + b]!;
    block += blocksOf(length);
  });
  const plaintexts: Cells = { bytes, offsets };
  const expected = s2v(key, associatedData, plaintexts);
  let opened = 0;
  return sealed.map((cell) => {
    if (cell.length < BLOCK) return undefined;
    const i = opened++;
    const authentic = timingSafeEqual(expected.subarray(i * BLOCK, (i + 1) * BLOCK), cell.subarray(0, BLOCK));
    return authentic ? cellAt(plaintexts, i) : undefined;
  });
}

/** S2V (RFC 5297 section 2.4) of every cell. @returns V of each cell, 16 bytes apart */
function s2v(key: SivKey, associatedData: readonly Uint8Array[], cells: Cells): Uint8Array {
  const encrypt = blockEncryptor(key.mac);
  const subkeys = cmacSubkeys(encrypt);
  let d = cmac(encrypt, subkeys, new Uint8Array(BLOCK));
  for (const component of associatedData) d = xor(double(d), cmac(encrypt, subkeys, component));
  return cmacCells(encrypt, lastComponents(cells, d, subkeys));
}

/** Messages of CMAC in whole blocks, ready to be chained: cell i is the blocks starts[i] to starts[i + 1]. */
interface CmacInput {
  readonly bytes: Uint8Array;
  readonly starts: Uint32Array;
}

/**
 * T of S2V for every cell, `Sn xorend D` or `dbl(D) xor pad(Sn)`, with CMAC's subkey already in its last block
 * (RFC 4493 section 2.4: K1 for a complete one, K2 for a padded one).
 */
function lastComponents(cells: Cells, d: Uint8Array, { k1, k2 }: CmacSubkeys): CmacInput {
  const count = cellCount(cells);
  const starts = new Uint32Array(count + 1);
  for (let i = 0; i < count; i++) {
    starts[i + 1] = starts[i]! + Math.max(1, blocksOf(cells.offsets[i + 1]! - cells.offsets[i]!));
  }
  const bytes = new Uint8Array(starts[count]! * BLOCK);
  const short = xor(double(d), k1);
  for (let i = 0; i < count; i++) {
    const from = cells.offsets[i]!;
    const length = cells.offsets[i + 1]! - from;
    const to = starts[i]! * BLOCK;
    for (let b = 0; b < length; b++) bytes[to + b] = cells.bytes[from + b]!;
    if (length < BLOCK) {
      bytes[to + length] = 0x80;
      for (let b = 0; b < BLOCK; b++) bytes[to + b]! ^= short[b]!;
      continue;
    }
    for (let b = 0; b < BLOCK; b++) bytes[to + length - BLOCK + b]! ^= d[b]!;
    const complete = length % BLOCK === 0;
    if (!complete) bytes[to + length]! ^= 0x80;
    const last = (starts[i + 1]! - 1) * BLOCK;
    for (let b = 0; b < BLOCK; b++) bytes[last + b]! ^= complete ? k1[b]! : k2[b]!;
  }
  return { bytes, starts };
}

/** The CBC chains of all cells, one AES-ECB call for each block position. @returns the MACs, 16 bytes apart */
function cmacCells(encrypt: BlockEncryptor, { bytes, starts }: CmacInput): Uint8Array {
  const count = starts.length - 1;
  const input = new Uint32Array(bytes.buffer);
  const chain = new Uint32Array(count * WORDS);
  let active = Uint32Array.from({ length: count }, (_, i) => i);
  for (let position = 0; active.length > 0; position++) {
    const work = new Uint32Array(active.length * WORDS);
    for (let a = 0; a < active.length; a++) {
      const cell = active[a]!;
      const from = (starts[cell]! + position) * WORDS;
      for (let w = 0; w < WORDS; w++) work[a * WORDS + w] = chain[cell * WORDS + w]! ^ input[from + w]!;
    }
    const encrypted = encrypt(work);
    for (let a = 0; a < active.length; a++) {
      const cell = active[a]!;
      for (let w = 0; w < WORDS; w++) chain[cell * WORDS + w] = encrypted[a * WORDS + w]!;
    }
    active = active.filter((cell) => starts[cell]! + position + 1 < starts[cell + 1]!);
  }
  return new Uint8Array(chain.buffer);
}

/**
 * The CTR key streams of all cells in one AES-ECB call, each in whole blocks. The counter starts at V without the
 * top bits of its last two 32-bit words (RFC 5297 section 2.5), so it never carries out of the last one.
 */
function keyStream(key: SivKey, ivs: Uint8Array, offsets: Uint32Array): Uint8Array {
  let blocks = 0;
  for (let i = 0; i + 1 < offsets.length; i++) blocks += blocksOf(offsets[i + 1]! - offsets[i]!);
  const counters = new Uint8Array(blocks * BLOCK);
  const view = new DataView(counters.buffer);
  let at = 0;
  for (let i = 0; i + 1 < offsets.length; i++) {
    const n = blocksOf(offsets[i + 1]! - offsets[i]!);
    for (let block = 0; block < n; block++, at += BLOCK) {
      for (let b = 0; b < BLOCK; b++) counters[at + b] = ivs[i * BLOCK + b]!;
      counters[at + 8]! &= 0x7f;
      counters[at + 12]! &= 0x7f;
      view.setUint32(at + 12, view.getUint32(at + 12) + block);
    }
  }
  return new Uint8Array(blockEncryptor(key.ctr)(new Uint32Array(counters.buffer)).buffer);
}

/** AES of each 16-byte block on its own. */
type BlockEncryptor = (blocks: Uint32Array) => Uint32Array;

function blockEncryptor(key: Uint8Array): BlockEncryptor {
  const cipher = createCipheriv(`aes-${key.length * 8}-ecb`, key, null).setAutoPadding(false);
  return (blocks) => {
    const encrypted = cipher.update(blocks);
    // A small result may stand in Node's shared pool at an offset that no Uint32Array can start at.
    return new Uint32Array(Uint8Array.prototype.slice.call(encrypted).buffer);
  };
}

interface CmacSubkeys {
  readonly k1: Uint8Array;
  readonly k2: Uint8Array;
}

/** RFC 4493 section 2.3. */
function cmacSubkeys(encrypt: BlockEncryptor): CmacSubkeys {
  const l = new Uint8Array(encrypt(new Uint32Array(WORDS)).buffer);
  const k1 = double(l);
  return { k1, k2: double(k1) };
}

/** AES-CMAC of one message (RFC 4493 section 2.4), for the associated data. */
function cmac(encrypt: BlockEncryptor, { k1, k2 }: CmacSubkeys, message: Uint8Array): Uint8Array {
  const blocks = Math.max(1, blocksOf(message.length));
  const bytes = new Uint8Array(blocks * BLOCK);
  bytes.set(message);
  const complete = message.length === bytes.length;
  if (!complete) bytes[message.length] = 0x80;
  const last = bytes.subarray(-BLOCK);
  last.set(xor(last, complete ? k1 : k2));
  return cmacCells(encrypt, { bytes, starts: Uint32Array.of(0, blocks) });
}

function blocksOf(length: number): number {
  return (length + BLOCK - 1) >>> 4;
}

/** Multiplication by x in GF(2^128) with the polynomial x^128 + x^7 + x^2 + x + 1 (RFC 5297 section 2.3). */
function double(block: Uint8Array): Uint8Array {
  const doubled = block.map((byte, i) => (byte << 1) | ((block[i + 1] ?? 0) >> 7));
  if (block[0]! & 0x80) doubled[BLOCK - 1]! ^= 0x87;
  return doubled;
}

function xor(a: Uint8Array, b: Uint8Array): Uint8Array {
  return a.map((byte, i) => byte ^ b[i]!);
}
