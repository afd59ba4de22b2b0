import { createHash } from 'node:crypto';
import { type Cells, cellAt } from '../../../lambda/masking/cells.ts';

/** Bytes that look random and are the same in every run. */
export function sampleBytes(length: number, seed: string | number): Uint8Array {
  return new Uint8Array(createHash('shake256', { outputLength: length }).update(String(seed)).digest());
}

/** As sampleBytes, of text: one byte a character. */
export function sampleText(length: number, seed: string | number): Uint8Array {
  return sampleBytes(length, seed).map((byte) => byte & 0x7f);
}

export function fromHex(digits: string): Uint8Array {
  return new Uint8Array(Buffer.from(digits.replaceAll(' ', ''), 'hex'));
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/** As text, so that a failing comparison shows bytes and is quick for thousands of values. */
export function hexAll(values: readonly (Uint8Array | undefined)[]): (string | undefined)[] {
  return values.map((value) => (value === undefined ? undefined : hex(value)));
}

export function unpack(cells: Cells): Uint8Array[] {
  return Array.from({ length: cells.lengths.length }, (_, i) => cellAt(cells, i));
}
