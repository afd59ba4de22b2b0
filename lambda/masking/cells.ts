/**
 * Byte strings of one column in one buffer, so that a whole batch goes through a cipher in a few calls.
 * Cell i is bytes[offsets[i]..offsets[i + 1]).
 */
export interface Cells {
  readonly bytes: Uint8Array;
  /** One more than there are cells; the first is 0, the last is bytes.length. */
  readonly offsets: Uint32Array;
}

export function cellCount({ offsets }: Cells): number {
  return offsets.length - 1;
}

/** Cell i, as a view. */
export function cellAt({ bytes, offsets }: Cells, i: number): Uint8Array {
  return bytes.subarray(offsets[i], offsets[i + 1]);
}

/** Copies values into one buffer, in their order. */
export function packCells(values: readonly Uint8Array[]): Cells {
  return layCells(values, (length) => length);
}

/**
 * As packCells, each value padded to a multiple of 16 bytes: 0x80, then zeros, always at least one byte
 * (ISO/IEC 7816-4). The length of a token then tells the length of a text only to within a block.
 */
export function packPaddedCells(values: readonly Uint8Array[]): Cells {
  const cells = layCells(values, (length) => (length & ~15) + 16);
  values.forEach((value, i) => {
    cells.bytes[cells.offsets[i]! + value.length] = 0x80;
  });
  return cells;
}

/** Takes the ISO/IEC 7816-4 padding off one cell. @returns undefined where there is none */
export function unpad(cell: Uint8Array): Uint8Array | undefined {
  let end = cell.length - 1;
  while (end >= 0 && cell[end] === 0) end--;
  return end >= 0 && cell[end] === 0x80 ? cell.subarray(0, end) : undefined;
}

function layCells(values: readonly Uint8Array[], lengthInCell: (length: number) => number): Cells {
  const offsets = new Uint32Array(values.length + 1);
  values.forEach((value, i) => {
    offsets[i + 1] = offsets[i]! + lengthInCell(value.length);
  });
  const bytes = new Uint8Array(offsets[values.length]!);
  values.forEach((value, i) => {
    bytes.set(value, offsets[i]);
  });
  return { bytes, offsets };
}
