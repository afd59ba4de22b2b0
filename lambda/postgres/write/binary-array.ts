/** Types by the numbers that they have in every PostgreSQL. */
export const OID = { bytea: 17, text: 25 } as const;

const INT32 = 4;
/** Dimensions, whether there are NULLs, type; length and lower bound of the one dimension. */
const HEADER = 5 * INT32;

/**
 * A one-dimensional array without NULLs in the binary format, of which the server parses less than half as long as of
 * text (array_recv in src/backend/utils/adt/arrayfuncs.c).
 *
 * @param elements bytes, or text in ASCII
 */
export function binaryArray(oid: number, elements: readonly (Uint8Array | string)[]): Buffer {
  const size = elements.reduce((sum, { length }) => sum + INT32 + length, HEADER);
  const array = Buffer.allocUnsafe(size);
  let at = 0;
  for (const value of [1, 0, oid, elements.length, 1]) at = array.writeInt32BE(value, at);
  for (const element of elements) {
    at = array.writeInt32BE(element.length, at);
    if (typeof element === 'string') array.write(element, at, 'latin1');
    else array.set(element, at);
    at += element.length;
  }
  return array;
}
