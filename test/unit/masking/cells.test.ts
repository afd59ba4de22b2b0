import { describe, expect, it } from 'vitest';
import { cellAt, packCells, packPaddedCells, unpad } from '../../../lambda/masking/cells.ts';
import { fromHex, hex, hexAll, sampleBytes, unpack } from './bytes.ts';

const everyLength = Array.from({ length: 201 }, (_, length) => sampleBytes(length, length));

describe('packCells', () => {
  it('starts every value at a block, with one start more than there are values', () => {
    const cells = packCells([fromHex('0102'), fromHex(''), fromHex('030405'), fromHex('06')]);
    expect(hex(cells.bytes)).toBe(`0102${'00'.repeat(14)}030405${'00'.repeat(13)}06${'00'.repeat(15)}`);
    expect([...cells.starts]).toEqual([0, 1, 1, 2, 3]);
    expect([...cells.lengths]).toEqual([2, 0, 3, 1]);
  });

  it('gives each value back at its place', () => {
    const cells = packCells(everyLength);
    expect(cells.lengths).toHaveLength(201);
    expect(hexAll(unpack(cells))).toEqual(hexAll(everyLength));
  });

  it('copies, so that what becomes of a value later does not matter', () => {
    const value = fromHex('0102');
    const cells = packCells([value]);
    value.fill(0xff);
    expect(hex(cellAt(cells, 0))).toBe('0102');
  });
});

describe.each([
  { name: 'packCells', pack: packCells },
  { name: 'packPaddedCells', pack: packPaddedCells },
])('$name', ({ pack }) => {
  it('takes no values at all', () => {
    const cells = pack([]);
    expect(cells.lengths).toHaveLength(0);
    expect([...cells.starts]).toEqual([0]);
    expect(cells.bytes).toHaveLength(0);
  });

  it('never changes its input', () => {
    const values = [sampleBytes(5, 'a'), sampleBytes(16, 'b')];
    const before = structuredClone(values);
    pack(values);
    expect(values).toEqual(before);
  });
});

describe('packPaddedCells', () => {
  it.each([
    { value: '', padded: `80${'00'.repeat(15)}` },
    { value: '61', padded: `6180${'00'.repeat(14)}` },
    { value: 'ff'.repeat(15), padded: `${'ff'.repeat(15)}80` },
    { value: 'ff'.repeat(16), padded: `${'ff'.repeat(16)}80${'00'.repeat(15)}` },
    { value: '8000', padded: `800080${'00'.repeat(13)}` },
  ])('pads "$value" with 0x80 and zeros to whole blocks', ({ value, padded }) => {
    const cells = packPaddedCells([fromHex(value)]);
    expect(hexAll(unpack(cells))).toEqual([padded]);
  });

  it('makes every length 0-200 the next multiple of 16 that is greater', () => {
    const lengths = unpack(packPaddedCells(everyLength)).map((cell) => cell.length);
    expect(lengths).toEqual(everyLength.map(({ length }) => 16 * (Math.floor(length / 16) + 1)));
  });
});

describe('unpad', () => {
  it('takes off what was put on, for every length 0-200', () => {
    const unpadded = unpack(packPaddedCells(everyLength)).map(unpad);
    expect(hexAll(unpadded)).toEqual(hexAll(everyLength));
  });

  it.each(['00', '80', '8000', '0080', '8080', `${'00'.repeat(15)}80`])(
    'keeps a value that itself looks like padding: %s',
    (value) => {
      const unpadded = unpack(packPaddedCells([fromHex(value)])).map(unpad);
      expect(hexAll(unpadded)).toEqual([value]);
    },
  );

  it.each([
    { name: 'nothing', cell: '' },
    { name: 'zeros only', cell: '00'.repeat(16) },
    { name: 'text to the last byte', cell: '61'.repeat(16) },
    { name: 'text and zeros', cell: `61${'00'.repeat(15)}` },
    { name: '0x80 followed by more than zeros', cell: `80${'00'.repeat(14)}01` },
    { name: 'a marker with one bit more', cell: `6181${'00'.repeat(14)}` },
  ])('gives nothing for bytes without padding: $name', ({ cell }) => {
    expect(unpad(fromHex(cell))).toBeUndefined();
  });
});
