/**
 * AES-SIV (RFC 5297) over a batch of values in lockstep.
 *
 * SIV has two passes: S2V, a chain of AES-CMACs (RFC 4493) that makes the synthetic IV V out of associated data
 * and plaintext, and AES-CTR under V. Both need nothing but the AES block function, and the n-th block of one value
 * does not depend on the n-th block of another. So a batch takes one AES-ECB call for each block position of the
 * CMACs and one for all key streams, where a cipher object for each value would cost fifty times as much.
 */
import { createCipheriv, timingSafeEqual } from 'node:crypto';
import { allocateCells, BLOCK, blocksOf, type Cells, cellAt, packCells, WORDS } from './cells.ts';

/** AES-SIV under one key and for one sequence of associated data. */
export interface AesSiv {
  /**
   * Encrypts every cell (RFC 5297 section 2.6). Equal plaintexts give equal outputs; neither the order nor the size
   * of the batch has any influence.
   *
   * @returns for each cell the 16 bytes of V, then as many bytes of ciphertext as of plaintext
   */
  seal(plaintexts: Cells): Cells;
  /**
   * Decrypts every cell (RFC 5297 section 2.7).
   *
   * @returns the plaintexts; undefined for a cell that this key did not make with this associated data
   */
  open(sealed: readonly Uint8Array[]): (Uint8Array | undefined)[];
}

/**
 * @param key 32, 48 or 64 bytes: the first half for S2V, the second for CTR (RFC 5297 section 2.2)
 * @param associatedData the components S1..Sn-1 of S2V
 * @throws Error when the key has another length
 */
export function createAesSiv(key: Uint8Array, associatedData: readonly Uint8Array[]): AesSiv {
  if (![32, 48, 64].includes(key.length)) {
    throw new Error(`AES-SIV key: expected 32, 48 or 64 bytes, got ${key.length}`);
  }
  const half = key.length / 2;
  const s2v = createS2v(blockEncryptor(key.subarray(0, half)), associatedData);
  const encryptCounters = blockEncryptor(key.subarray(half));

  return {
    seal(plaintexts) {
      const ivs = s2v(plaintexts);
      const stream = encryptCounters(counters(ivs, plaintexts));
      const { starts, lengths, words } = plaintexts;
      const sealed = allocateCells(lengths.map((length) => length + BLOCK));
      for (let i = 0; i < lengths.length; i++) {
        const to = sealed.starts[i]! * WORDS;
        for (let w = 0; w < WORDS; w++) sealed.words[to + w] = ivs[i * WORDS + w]!;
        const end = starts[i + 1]! * WORDS;
        for (let from = starts[i]! * WORDS, w = to + WORDS; from < end; from++, w++) {
          sealed.words[w] = words[from]! ^ stream[from]!;
        }
      }
      return sealed;
    },
    open(sealed) {
      const whole = sealed.filter(({ length }) => length >= BLOCK);
      const ivs = packCells(whole.map((cell) => cell.subarray(0, BLOCK))).words;
      const plaintexts = packCells(whole.map((cell) => cell.subarray(BLOCK)));
      const stream = encryptCounters(counters(ivs, plaintexts));
      for (let w = 0; w < stream.length; w++) plaintexts.words[w]! ^= stream[w]!;
      const expected = s2v(plaintexts);
      let opened = 0;
      return sealed.map((cell) => {
        if (cell.length < BLOCK) return undefined;
        const i = opened++;
        const iv = expected.subarray(i * WORDS, (i + 1) * WORDS);
        const authentic = timingSafeEqual(bytesOf(iv), cell.subarray(0, BLOCK));
        // A copy: the buffer holds the others too, and what is not authentic must not be released.
        return authentic ? cellAt(plaintexts, i).slice() : undefined;
      });
    },
  };
}

/** AES of each 16-byte block on its own, in a buffer of its own. */
type BlockEncryptor = (blocks: Uint32Array) => Uint32Array;

/** ECB without padding keeps no state between calls, so one cipher serves every batch. */
function blockEncryptor(key: Uint8Array): BlockEncryptor {
  const cipher = createCipheriv(`aes-${key.length * 8}-ecb`, key, null).setAutoPadding(false);
  return (blocks) => {
    const { buffer, byteOffset, byteLength } = cipher.update(blocks);
    // A small result may stand in Node's shared pool at an offset that no Uint32Array can start at.
    return byteOffset % 4 === 0
      ? new Uint32Array(buffer, byteOffset, byteLength / 4)
      : new Uint32Array(buffer.slice(byteOffset, byteOffset + byteLength));
  };
}

/** S2V (RFC 5297 section 2.4) of every cell as its last component. @returns V of each cell, four words each */
function createS2v(
  encrypt: BlockEncryptor,
  associatedData: readonly Uint8Array[],
): (cells: Cells) => Uint32Array {
  const subkeys = cmacSubkeys(encrypt);
  const mac = (message: Uint8Array) => bytesOf(cmacChains(encrypt, cmacInput(message, subkeys)));
  let d = mac(new Uint8Array(BLOCK));
  for (const component of associatedData) d = xor(double(d), mac(component));
  const tail = createTail(d, subkeys);
  return (cells) => cmacChains(encrypt, lastComponents(cells, tail));
}

/** Messages of CMAC in whole blocks, ready to be chained: message i is the blocks starts[i] to starts[i + 1]. */
interface CmacInput {
  readonly words: Uint32Array;
  readonly starts: Uint32Array;
}

/** The CBC chains of all messages, one AES-ECB call for each block position. @returns the MACs, four words each */
function cmacChains(encrypt: BlockEncryptor, { words, starts }: CmacInput): Uint32Array {
  const count = starts.length - 1;
  // One block each, the most frequent case: the chains are as long as the input.
  if (words.length === count * WORDS) return encrypt(words);
  const chains = new Uint32Array(count * WORDS);
  let active = Uint32Array.from({ length: count }, (_, i) => i);
  for (let position = 0; active.length > 0; position++) {
    const work = new Uint32Array(active.length * WORDS);
    for (let a = 0; a < active.length; a++) {
      const i = active[a]!;
      const from = (starts[i]! + position) * WORDS;
      for (let w = 0; w < WORDS; w++) work[a * WORDS + w] = chains[i * WORDS + w]! ^ words[from + w]!;
    }
    const encrypted = encrypt(work);
    for (let a = 0; a < active.length; a++) {
      for (let w = 0; w < WORDS; w++) chains[active[a]! * WORDS + w] = encrypted[a * WORDS + w]!;
    }
    active = active.filter((i) => starts[i]! + position + 1 < starts[i + 1]!);
  }
  return chains;
}

/** What S2V and CMAC do to the end of T, `Sn xorend D` or `dbl(D) xor pad(Sn)`, with CMAC's subkey already in it. */
interface Tail {
  /** XOR to the last block of a plaintext in whole blocks: D and K1. */
  readonly whole: Uint32Array;
  /** As `whole`, for lengths that are no multiple of a block. @param block whose last bytes are the plaintext's */
  partial(bytes: Uint8Array, start: number, length: number): void;
}

function createTail(d: Uint8Array, { k1, k2 }: CmacSubkeys): Tail {
  const short = xor(double(d), k1);
  return {
    whole: wordsOf(xor(d, k1)),
    partial(bytes, start, length) {
      bytes[start + length] = 0x80;
      if (length < BLOCK) {
        for (let b = 0; b < BLOCK; b++) bytes[start + b]! ^= short[b]!;
        return;
      }
      for (let b = 0; b < BLOCK; b++) bytes[start + length - BLOCK + b]! ^= d[b]!;
      const last = start + (blocksOf(length) - 1) * BLOCK;
      for (let b = 0; b < BLOCK; b++) bytes[last + b]! ^= k2[b]!;
    },
  };
}

/** T of S2V for every cell, as input of CMAC. An empty cell takes no block among the cells but one of CMAC. */
function lastComponents(cells: Cells, tail: Tail): CmacInput {
  const { starts, words } = allocateLast(cells);
  const bytes = bytesOf(words);
  for (let i = 0; i < cells.lengths.length; i++) {
    const length = cells.lengths[i]!;
    if (length === 0 || length % BLOCK !== 0) {
      bytes.fill(0, starts[i]! * BLOCK + length, starts[i + 1]! * BLOCK);
      tail.partial(bytes, starts[i]! * BLOCK, length);
      continue;
    }
    const last = (starts[i + 1]! - 1) * WORDS;
    for (let w = 0; w < WORDS; w++) words[last + w]! ^= tail.whole[w]!;
  }
  return { words, starts };
}

/** A copy of the cells in which every cell has at least one block. */
function allocateLast({ lengths, starts, words }: Cells): CmacInput {
  if (!lengths.includes(0)) return { words: words.slice(), starts };
  const roomy = allocateCells(lengths.map((length) => Math.max(1, length)));
  for (let i = 0; i < lengths.length; i++) {
    roomy.words.set(words.subarray(starts[i]! * WORDS, starts[i + 1]! * WORDS), roomy.starts[i]! * WORDS);
  }
  return roomy;
}

/**
 * The CTR counters of all cells, as many blocks as the cells have. They start at V without the top bits of its last
 * two 32-bit words (RFC 5297 section 2.5), so they never carry out of the last one.
 */
function counters(ivs: Uint32Array, { starts }: Cells): Uint32Array {
  const words = new Uint32Array(starts.at(-1)! * WORDS);
  const bytes = bytesOf(words);
  const view = new DataView(words.buffer);
  for (let i = 0; i + 1 < starts.length; i++) {
    for (let block = starts[i]!; block < starts[i + 1]!; block++) {
      for (let w = 0; w < WORDS; w++) words[block * WORDS + w] = ivs[i * WORDS + w]!;
      const at = block * BLOCK;
      bytes[at + 8]! &= 0x7f;
      bytes[at + 12]! &= 0x7f;
      const step = block - starts[i]!;
      if (step > 0) view.setUint32(at + 12, view.getUint32(at + 12) + step);
    }
  }
  return words;
}

interface CmacSubkeys {
  readonly k1: Uint8Array;
  readonly k2: Uint8Array;
}

/** RFC 4493 section 2.3. */
function cmacSubkeys(encrypt: BlockEncryptor): CmacSubkeys {
  const k1 = double(bytesOf(encrypt(new Uint32Array(WORDS))));
  return { k1, k2: double(k1) };
}

/** One message of CMAC (RFC 4493 section 2.4): K1 goes into a complete last block, K2 into a padded one. */
function cmacInput(message: Uint8Array, { k1, k2 }: CmacSubkeys): CmacInput {
  const blocks = Math.max(1, blocksOf(message.length));
  const words = new Uint32Array(blocks * WORDS);
  const bytes = bytesOf(words);
  bytes.set(message);
  const complete = message.length === bytes.length;
  if (!complete) bytes[message.length] = 0x80;
  const last = bytes.subarray(-BLOCK);
  last.set(xor(last, complete ? k1 : k2));
  return { words, starts: Uint32Array.of(0, blocks) };
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

function bytesOf({ buffer, byteOffset, byteLength }: Uint32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function wordsOf(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(bytes.slice().buffer);
}
