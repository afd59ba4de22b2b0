/**
 * Byte strings of one column in one buffer, so that a whole batch goes through a cipher in a few calls. Every cell
 * starts at a block of 16 bytes; what fills its last block means nothing.
 */
export interface Cells {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The same memory by words of four bytes, in the machine's byte order: for copying and XOR. */
  readonly words: Uint32Array<ArrayBuffer>;
  /** The block at which each cell starts, and at the end the number of all blocks. */
  readonly starts: Uint32Array;
  /** The length of each cell in bytes. */
  readonly lengths: Uint32Array;
}

/** Bytes of a block, that of AES. */
export const BLOCK = 16;
/** Words of a block. */
export const WORDS = 4;

/** Room for cells of these lengths, all zero. */
export function allocateCells(lengths: Uint32Array): Cells {
  const starts = new Uint32Array(lengths.length + 1);
  for (let i = 0; i < lengths.length; i++) starts[i + 1] = starts[i]! + blocksOf(lengths[i]!);
  const bytes = new Uint8Array(starts[lengths.length]! * BLOCK);
  return { bytes, words: new Uint32Array(bytes.buffer), starts, lengths };
}

/** How many blocks a cell of this many bytes takes. */
export function blocksOf(length: number): number {
  return (length + BLOCK - 1) >>> 4;
}

/** Cell i, as a view. */
export function cellAt({ bytes, starts, lengths }: Cells, i: number): Uint8Array {
  const start = starts[i]! * BLOCK;
  return bytes.subarray(start, start + lengths[i]!);
}

/** Copies values into one buffer, in their order. */
export function packCells(values: readonly Uint8Array[]): Cells {
  return fill(allocateCells(Uint32Array.from(values, ({ length }) => length)), values);
}

/**
 * As packCells, each value padded to whole blocks: 0x80, then zeros, always at least one byte (ISO/IEC 7816-4).
 * The length of a token then tells the length of a text only to within a block.
 */
export function packPaddedCells(values: readonly Uint8Array[]): Cells {
  const cells = allocateCells(Uint32Array.from(values, ({ length }) => (length & ~(BLOCK - 1)) + BLOCK));
  for (let i = 0; i < values.length; i++) cells.bytes[cells.starts[i]! * BLOCK + values[i]!.length] = 0x80;
  return fill(cells, values);
}

function fill(cells: Cells, values: readonly Uint8Array[]): Cells {
  const { bytes, starts } = cells;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    const start = starts[i]! * BLOCK;
    // A loop, because a call of set() costs more than copying a value of this size.
    for (let b = 0; b < value.length; b++) bytes[start + b] = value[b]!;
  }
  return cells;
}

/** Takes the ISO/IEC 7816-4 padding off one cell. @returns undefined where there is none */
export function unpad(cell: Uint8Array): Uint8Array | undefined {
  let end = cell.length - 1;
  while (end >= 0 && cell[end] === 0) end--;
  return end >= 0 && cell[end] === 0x80 ? cell.subarray(0, end) : undefined;
}
