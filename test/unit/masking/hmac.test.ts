import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { packCells } from '../../../lambda/masking/cells.ts';
import { hmacCells } from '../../../lambda/masking/hmac.ts';
import { fromHex, hex, hexAll, sampleBytes, unpack } from './bytes.ts';

function macs(key: Uint8Array, prefix: Uint8Array, messages: readonly Uint8Array[]): Uint8Array[] {
  return unpack(hmacCells(key, prefix, packCells(messages)));
}

/** The second implementation, a value at a time. */
function nodeMacs(key: Uint8Array, prefix: Uint8Array, messages: readonly Uint8Array[]): Uint8Array[] {
  return messages.map((message) => createHmac('sha256', key).update(prefix).update(message).digest());
}

const NOTHING = new Uint8Array(0);
const KEY = sampleBytes(32, 'key');

describe('hmacCells', () => {
  // Test cases 6 and 7 have keys of 131 bytes; 5 is truncated to 128 bits.
  it.each([
    {
      name: '1',
      key: '0b'.repeat(20),
      data: hex(Buffer.from('Hi There')),
      mac: 'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7',
    },
    {
      name: '2',
      key: hex(Buffer.from('Jefe')),
      data: hex(Buffer.from('what do ya want for nothing?')),
      mac: '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
    },
    {
      name: '3',
      key: 'aa'.repeat(20),
      data: 'dd'.repeat(50),
      mac: '773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe',
    },
    {
      name: '4',
      key: '0102030405060708090a0b0c0d0e0f10111213141516171819',
      data: 'cd'.repeat(50),
      mac: '82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b',
    },
    {
      name: '5',
      key: '0c'.repeat(20),
      data: hex(Buffer.from('Test With Truncation')),
      mac: 'a3b6167473100ee06e0c796c2955552b',
    },
  ])('gives the published MAC of RFC 4231 test case $name', ({ key, data, mac }) => {
    const [cell] = macs(fromHex(key), NOTHING, [fromHex(data)]);
    expect(hex(cell!).slice(0, mac.length)).toBe(mac);
    expect(cell).toHaveLength(32);
  });

  it('agrees with createHmac for every length 0-300 in one batch, longest first and shortest first', () => {
    const messages = Array.from({ length: 301 }, (_, length) => sampleBytes(length, length));
    const prefix = Buffer.from('device_id\0');
    for (const batch of [messages, messages.toReversed()]) {
      expect(hexAll(macs(KEY, prefix, batch))).toEqual(hexAll(nodeMacs(KEY, prefix, batch)));
    }
  });

  it('agrees with createHmac for every key of 0-64 bytes', () => {
    const messages = [NOTHING, sampleBytes(100, 'message')];
    for (let length = 0; length <= 64; length++) {
      const key = sampleBytes(length, 'key');
      expect(hexAll(macs(key, NOTHING, messages))).toEqual(hexAll(nodeMacs(key, NOTHING, messages)));
    }
  });

  it('agrees with createHmac for random keys, prefixes and batches', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 64, size: 'max' }),
        fc.uint8Array({ maxLength: 100, size: 'max' }),
        fc.array(fc.uint8Array({ maxLength: 300, size: 'max' }), { maxLength: 12 }),
        (key, prefix, messages) => {
          expect(hexAll(macs(key, prefix, messages))).toEqual(hexAll(nodeMacs(key, prefix, messages)));
        },
      ),
    );
  });

  it.each([
    { name: 'no message', messages: [] },
    { name: 'one empty message', messages: [NOTHING] },
    { name: 'only empty messages', messages: [NOTHING, NOTHING] },
  ])('takes $name', ({ messages }) => {
    const prefix = Buffer.from('ip\0');
    expect(hexAll(macs(KEY, prefix, messages))).toEqual(hexAll(nodeMacs(KEY, prefix, messages)));
  });

  it('never changes its inputs', () => {
    const inputs = {
      key: KEY.slice(),
      prefix: sampleBytes(10, 'prefix'),
      cells: packCells([sampleBytes(90, 'message'), NOTHING]),
    };
    const before = structuredClone(inputs);
    hmacCells(inputs.key, inputs.prefix, inputs.cells);
    expect(inputs).toEqual(before);
  });

  it.each([65, 66, 131])('refuses a key of %i bytes and says so', (length) => {
    expect(() => macs(sampleBytes(length, 'key'), NOTHING, [])).toThrow(
      new Error(`HMAC key: expected at most 64 bytes, got ${length}`),
    );
  });
});
