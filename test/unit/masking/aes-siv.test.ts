import { createCipheriv, createDecipheriv } from 'node:crypto';
import { aessiv } from '@noble/ciphers/aes.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createAesSiv } from '../../../lambda/masking/aes-siv.ts';
import { packCells } from '../../../lambda/masking/cells.ts';
import { fromHex, hex, hexAll, sampleBytes, unpack } from './bytes.ts';

type Bytes = readonly Uint8Array[];

function seal(key: Uint8Array, associatedData: Bytes, plaintexts: Bytes): Uint8Array[] {
  return unpack(createAesSiv(key, associatedData).seal(packCells(plaintexts)));
}

function open(key: Uint8Array, associatedData: Bytes, sealed: Bytes): (Uint8Array | undefined)[] {
  return createAesSiv(key, associatedData).open(sealed);
}

/** The second implementation, a value at a time. */
function nobleSeal(key: Uint8Array, associatedData: Bytes, plaintexts: Bytes): Uint8Array[] {
  return plaintexts.map((plaintext) => aessiv(key, ...associatedData).encrypt(plaintext));
}

const KEY_LENGTHS = [32, 48, 64];
const anyKey = fc
  .constantFrom(...KEY_LENGTHS)
  .chain((length) => fc.uint8Array({ minLength: length, maxLength: length }));
const anyAssociatedData = fc.array(fc.uint8Array({ maxLength: 70 }), { maxLength: 3 });
const anyBatch = fc.array(fc.uint8Array({ maxLength: 200, size: 'max' }), { maxLength: 12 });

const KEY = sampleBytes(64, 'key');
const DOMAIN = Buffer.from('device_id');

describe('published vectors (RFC 5297 appendix A)', () => {
  const vectors = [
    {
      name: 'A.1 deterministic authenticated encryption',
      key: 'fffefdfc fbfaf9f8 f7f6f5f4 f3f2f1f0 f0f1f2f3 f4f5f6f7 f8f9fafb fcfdfeff',
      associatedData: ['10111213 14151617 18191a1b 1c1d1e1f 20212223 24252627'],
      plaintext: '11223344 55667788 99aabbcc ddee',
      sealed: '85632d07 c6e8f37f 950acd32 0a2ecc93 40c02b96 90c4dc04 daef7f6a fe5c',
    },
    {
      name: 'A.2 nonce-based authenticated encryption',
      key: '7f7e7d7c 7b7a7978 77767574 73727170 40414243 44454647 48494a4b 4c4d4e4f',
      associatedData: [
        '00112233 44556677 8899aabb ccddeeff deaddada deaddada ffeeddcc bbaa9988 77665544 33221100',
        '10203040 50607080 90a0',
        '09f91102 9d74e35b d84156c5 635688c0',
      ],
      plaintext:
        '74686973 20697320 736f6d65 20706c61 696e7465 78742074 6f20656e 63727970 ' +
        '74207573 696e6720 5349562d 414553',
      sealed:
        '7bdb6e3b 432667eb 06f4d14b ff2fbd0f cb900f2f ddbe4043 26601965 c889bf17 ' +
        'dba77ceb 094fa663 b7a3f748 ba8af829 ea64ad54 4a272e9c 485b62a3 fd5c0d',
    },
  ].map(({ name, key, associatedData, plaintext, sealed }) => ({
    name,
    key: fromHex(key),
    associatedData: associatedData.map(fromHex),
    plaintext: fromHex(plaintext),
    sealed: fromHex(sealed),
  }));

  it.each(vectors)('$name seals to the published bytes', ({ key, associatedData, plaintext, sealed }) => {
    const cells = seal(key, associatedData, [plaintext]);
    expect(hexAll(cells)).toEqual([hex(sealed)]);
  });

  it.each(vectors)('$name opens to the published plaintext', ({ key, associatedData, plaintext, sealed }) => {
    const cells = open(key, associatedData, [sealed]);
    expect(hexAll(cells)).toEqual([hex(plaintext)]);
  });

  it.each(vectors)('$name: the oracle knows it too', ({ key, associatedData, plaintext, sealed }) => {
    expect(hexAll(nobleSeal(key, associatedData, [plaintext]))).toEqual([hex(sealed)]);
  });
});

describe('agreement with a second implementation', () => {
  it.each(KEY_LENGTHS.flatMap((keyLength) => [0, 1, 2, 3].map((components) => ({ keyLength, components }))))(
    'holds for every length 0-200 in one batch, $keyLength key bytes, $components components',
    (sizes) => {
      const key = sampleBytes(sizes.keyLength, 'agreement');
      // 9, 16 and 23 bytes: short of a block, a block, more than one.
      const associatedData = Array.from({ length: sizes.components }, (_, i) => sampleBytes(9 + 7 * i, i));
      const plaintexts = Array.from({ length: 201 }, (_, length) => sampleBytes(length, length));

      const sealed = seal(key, associatedData, plaintexts);

      expect(hexAll(sealed)).toEqual(hexAll(nobleSeal(key, associatedData, plaintexts)));
    },
  );

  it('holds for every length 0-50 of a component', () => {
    const plaintexts = [sampleBytes(20, 'plaintext')];
    for (let length = 0; length <= 50; length++) {
      const associatedData = [sampleBytes(length, 'component')];
      const sealed = seal(KEY, associatedData, plaintexts);
      expect(hexAll(sealed)).toEqual(hexAll(nobleSeal(KEY, associatedData, plaintexts)));
    }
  });

  it('holds for random keys, components and batches', () => {
    fc.assert(
      fc.property(anyKey, anyAssociatedData, anyBatch, (key, associatedData, plaintexts) => {
        const sealed = seal(key, associatedData, plaintexts);
        expect(hexAll(sealed)).toEqual(hexAll(nobleSeal(key, associatedData, plaintexts)));
      }),
    );
  });

  it('opens what the other one sealed', () => {
    fc.assert(
      fc.property(anyKey, anyAssociatedData, anyBatch, (key, associatedData, plaintexts) => {
        const opened = open(key, associatedData, nobleSeal(key, associatedData, plaintexts));
        expect(hexAll(opened)).toEqual(hexAll(plaintexts));
      }),
    );
  });
});

describe('the counter (RFC 5297 section 2.5)', () => {
  it.each([
    { name: 'every bit of V is set', iv: 'ffffffff ffffffff ffffffff ffffffff' },
    { name: 'no bit of V is set', iv: '00000000 00000000 00000000 00000000' },
    { name: 'only the two bits that are cleared are set', iv: '00000000 00000000 80000000 80000000' },
    { name: 'the last word passes 2^31', iv: '01234567 89abcdef 7fffffff 7ffffffe' },
    { name: 'the last byte carries into the one before', iv: '01234567 89abcdef 01234567 000000ff' },
  ])('counts as the RFC has it where $name', ({ iv }) => {
    const plaintext = plaintextWithIv(KEY, fromHex(iv));

    const sealed = seal(KEY, [], [plaintext]);

    expect(hexAll(sealed.map((cell) => cell.subarray(0, 16)))).toEqual([hex(fromHex(iv))]);
    expect(hexAll(sealed)).toEqual(hexAll(nobleSeal(KEY, [], [plaintext])));
  });
});

describe('a batch', () => {
  it('may be empty', () => {
    expect(seal(KEY, [DOMAIN], [])).toEqual([]);
    expect(open(KEY, [DOMAIN], [])).toEqual([]);
  });

  it('gives each cell what it gets alone', () => {
    fc.assert(
      fc.property(anyKey, anyAssociatedData, anyBatch, (key, associatedData, plaintexts) => {
        const together = seal(key, associatedData, plaintexts);
        const alone = plaintexts.flatMap((plaintext) => seal(key, associatedData, [plaintext]));
        expect(hexAll(together)).toEqual(hexAll(alone));
      }),
    );
  });

  it('gives the same in another order in that order', () => {
    const anyBatchAndOrder = anyBatch.chain((plaintexts) =>
      fc.tuple(
        fc.constant(plaintexts),
        fc.shuffledSubarray([...plaintexts.keys()], { minLength: plaintexts.length }),
      ),
    );
    fc.assert(
      fc.property(anyKey, anyAssociatedData, anyBatchAndOrder, (key, associatedData, [plaintexts, order]) => {
        const sealed = seal(key, associatedData, plaintexts);
        const shuffled = seal(
          key,
          associatedData,
          order.map((i) => plaintexts[i]!),
        );
        expect(hexAll(shuffled)).toEqual(hexAll(order.map((i) => sealed[i]!)));
      }),
    );
  });

  it('opens to what was sealed', () => {
    fc.assert(
      fc.property(anyKey, anyAssociatedData, anyBatch, (key, associatedData, plaintexts) => {
        const opened = open(key, associatedData, seal(key, associatedData, plaintexts));
        expect(hexAll(opened)).toEqual(hexAll(plaintexts));
      }),
    );
  });

  it('makes equal cells of equal plaintexts and different ones of different plaintexts', () => {
    const distinct = Array.from({ length: 2_000 }, (_, i) =>
      sampleBytes(i % 50 === 0 ? 3 : 16 + (i % 40), i),
    );
    const sealed = hexAll(seal(KEY, [DOMAIN], [...distinct, ...distinct]));
    expect(sealed.slice(0, 2_000)).toEqual(sealed.slice(2_000));
    expect(new Set(sealed).size).toBe(2_000);
  });
});

describe('open', () => {
  const plaintexts = [0, 1, 15, 16, 17, 48].map((length) => sampleBytes(length, length));

  it.each(plaintexts.map((plaintext) => ({ plaintext, length: plaintext.length })))(
    'finds every flipped bit of a cell of $length bytes, and opens its neighbours all the same',
    ({ plaintext }) => {
      const [cell] = seal(KEY, [DOMAIN], [plaintext]);
      const altered = everyBitFlipped(cell!);

      const opened = open(
        KEY,
        [DOMAIN],
        altered.flatMap((flipped) => [flipped, cell!]),
      );

      expect(altered).toHaveLength((16 + plaintext.length) * 8);
      expect(hexAll(opened)).toEqual(altered.flatMap(() => [undefined, hex(plaintext)]));
    },
  );

  it('finds cells that were cut, extended or put together from two', () => {
    const [first, second] = seal(KEY, [DOMAIN], [sampleBytes(32, 'first'), sampleBytes(32, 'second')]);
    const opened = open(
      KEY,
      [DOMAIN],
      [
        first!.subarray(0, -1),
        first!.subarray(0, 32),
        first!.subarray(0, 16),
        first!.subarray(1),
        Uint8Array.of(...first!, 0),
        Uint8Array.of(...first!.subarray(0, 16), ...second!.subarray(16)),
        Uint8Array.of(...first!.subarray(0, 32), ...second!.subarray(32)),
        second!,
      ],
    );
    expect(hexAll(opened)).toEqual([...Array(7).fill(undefined), hex(sampleBytes(32, 'second'))]);
  });

  const a = Buffer.from('a');
  const b = Buffer.from('b');
  const empty = new Uint8Array(0);
  it.each<{ name: string; sealed: Bytes; opened: Bytes }>([
    { name: 'another component', sealed: [a], opened: [b] },
    { name: 'none instead of one', sealed: [a], opened: [] },
    { name: 'one instead of none', sealed: [], opened: [a] },
    { name: 'an empty one instead of none', sealed: [], opened: [empty] },
    { name: 'an empty one more', sealed: [a], opened: [a, empty] },
    { name: 'components in another order', sealed: [a, b], opened: [b, a] },
    { name: 'components run together', sealed: [a, b], opened: [Buffer.from('ab')] },
    { name: 'a component padded to a block', sealed: [a], opened: [fromHex(`6180${'00'.repeat(14)}`)] },
  ])('gives nothing for other associated data: $name', ({ sealed, opened }) => {
    const cells = seal(KEY, sealed, plaintexts);
    expect(open(KEY, opened, cells)).toEqual(plaintexts.map(() => undefined));
    expect(hexAll(open(KEY, sealed, cells))).toEqual(hexAll(plaintexts));
  });

  it.each([
    { name: 'another S2V half', key: Uint8Array.of(...sampleBytes(32, 'other'), ...KEY.subarray(32)) },
    { name: 'the halves changed over', key: Uint8Array.of(...KEY.subarray(32), ...KEY.subarray(0, 32)) },
    { name: 'a shorter key', key: KEY.subarray(0, 32) },
  ])('gives nothing for another key: $name', ({ key }) => {
    const cells = seal(KEY, [DOMAIN], plaintexts);
    expect(open(key, [DOMAIN], cells)).toEqual(plaintexts.map(() => undefined));
  });

  it('gives nothing for another CTR half where there is ciphertext', () => {
    const key = Uint8Array.of(...KEY.subarray(0, 32), ...sampleBytes(32, 'other'));
    const cells = seal(KEY, [DOMAIN], plaintexts);
    expect(hexAll(open(key, [DOMAIN], cells))).toEqual(
      plaintexts.map(({ length }) => (length ? undefined : '')),
    );
  });

  it('gives nothing for cells that are shorter than V, wherever they stand', () => {
    const [cell] = seal(KEY, [DOMAIN], [sampleBytes(20, 'cell')]);
    const short = Array.from({ length: 16 }, (_, length) => cell!.subarray(0, length));

    const opened = open(
      KEY,
      [DOMAIN],
      short.flatMap((bytes) => [bytes, cell!]),
    );

    expect(hexAll(opened)).toEqual(short.flatMap(() => [undefined, hex(sampleBytes(20, 'cell'))]));
    expect(open(KEY, [DOMAIN], short)).toEqual(short.map(() => undefined));
  });
});

describe('inputs', () => {
  it('are never changed', () => {
    fc.assert(
      fc.property(anyKey, anyAssociatedData, anyBatch, (key, associatedData, plaintexts) => {
        const cells = packCells(plaintexts);
        const sealing = { key, associatedData, cells };
        const sealingBefore = structuredClone(sealing);
        const sealed = unpack(createAesSiv(key, associatedData).seal(cells));
        const opening = { key, associatedData, sealed };
        const openingBefore = structuredClone(opening);

        createAesSiv(key, associatedData).open(sealed);

        expect(sealing).toEqual(sealingBefore);
        expect(opening).toEqual(openingBefore);
      }),
      { numRuns: 50 },
    );
  });

  it('may be views at any offset of a larger buffer', () => {
    const plaintexts = [0, 1, 16, 33].map((length) => sampleBytes(length, length));
    const expected = hexAll(nobleSeal(KEY, [DOMAIN], plaintexts));
    for (let offset = 1; offset <= 5; offset++) {
      const views = packCells(plaintexts.map((plaintext) => viewAt(plaintext, offset)));
      const sealed = createAesSiv(viewAt(KEY, offset), [viewAt(DOMAIN, offset)]).seal(views);
      const opened = open(
        KEY,
        [DOMAIN],
        unpack(sealed).map((cell) => viewAt(cell, offset)),
      );
      expect(hexAll(unpack(sealed))).toEqual(expected);
      expect(hexAll(opened)).toEqual(hexAll(plaintexts));
    }
  });
});

describe('createAesSiv', () => {
  it.each([0, 1, 16, 24, 31, 33, 40, 63, 65, 96, 128])('refuses a key of %i bytes and says so', (length) => {
    expect(() => createAesSiv(sampleBytes(length, 'refused'), [])).toThrow(
      new Error(`AES-SIV key: expected 32, 48 or 64 bytes, got ${length}`),
    );
  });

  it('serves batch after batch', () => {
    const siv = createAesSiv(KEY, [DOMAIN]);
    const batches = [[0, 16], [33], [], [16, 200, 1]].map((lengths) =>
      lengths.map((length) => sampleBytes(length, length)),
    );

    const sealed = batches.map((batch) => unpack(siv.seal(packCells(batch))));

    expect(sealed.map(hexAll)).toEqual(batches.map((batch) => hexAll(seal(KEY, [DOMAIN], batch))));
    expect(sealed.map((cells) => hexAll(siv.open(cells)))).toEqual(batches.map(hexAll));
  });

  it('gives nothing of a cell that is not authentic to who gets its neighbour', () => {
    const cells = seal(KEY, [DOMAIN], [sampleBytes(20, 'a'), sampleBytes(20, 'b')]);
    cells[1]![0]! ^= 1;

    const [opened] = open(KEY, [DOMAIN], cells);

    expect(opened?.buffer.byteLength).toBe(20);
  });
});

function everyBitFlipped(bytes: Uint8Array): Uint8Array[] {
  return Array.from({ length: bytes.length * 8 }, (_, bit) =>
    bytes.map((byte, i) => (i === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte)),
  );
}

function viewAt(bytes: Uint8Array, offset: number): Uint8Array {
  const larger = new Uint8Array(bytes.length + offset + 3).fill(0xee);
  larger.set(bytes, offset);
  return larger.subarray(offset, offset + bytes.length);
}

/** Five blocks of plaintext whose V without associated data is `iv`: a key holder can run CMAC backwards. */
function plaintextWithIv(key: Uint8Array, iv: Uint8Array): Uint8Array {
  const mac = key.subarray(0, key.length / 2);
  const algorithm = `aes-${mac.length * 8}-ecb`;
  const encrypt = (block: bigint) =>
    asNumber(createCipheriv(algorithm, mac, null).setAutoPadding(false).update(asBlock(block)));
  const decrypt = (block: bigint) =>
    asNumber(createDecipheriv(algorithm, mac, null).setAutoPadding(false).update(asBlock(block)));
  const subkey = double(encrypt(0n));
  const d = encrypt(subkey);
  const head = [1n, 2n, 3n, 4n];
  const chain = head.reduce((previous, block) => encrypt(previous ^ block), 0n);
  return Buffer.concat([...head, decrypt(asNumber(iv)) ^ chain ^ d ^ subkey].map(asBlock));
}

function double(block: bigint): bigint {
  return BigInt.asUintN(128, block << 1n) ^ (block >> 127n === 1n ? 0x87n : 0n);
}

function asNumber(block: Uint8Array): bigint {
  return BigInt(`0x${hex(block)}`);
}

function asBlock(value: bigint): Uint8Array {
  return fromHex(value.toString(16).padStart(32, '0'));
}
