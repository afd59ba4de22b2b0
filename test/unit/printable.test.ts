import fc from 'fast-check';
import { expect, it } from 'vitest';
import { printable, printableJson } from '../../bin/local/printable.ts';

const OBEYED = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

it.each([
  ['plain-1', 'plain-1'],
  ['Zürich 東京', 'Zürich 東京'],
  ['tab\tline\n', 'tab\\u0009line\\u000a'],
  ['\u001b[31mred', '\\u001b[31mred'],
  ['c1 \u009b31m', 'c1 \\u009b31m'],
  ['\u202eturned', '\\u202eturned'],
  ['back\\slash', 'back\\\\slash'],
])('%j is printed as %s', (text, printed) => {
  expect(printable(text)).toBe(printed);
});

it('no text makes a terminal obey it, and each can be read back as JSON reads it', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const printed = printable(text);
      expect(printed).not.toMatch(OBEYED);
      expect(JSON.parse(`"${printed.replaceAll('"', '\\"')}"`)).toBe(text);
    }),
  );
});

it('JSON stays the same JSON', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const printed = printableJson({ text });
      expect(printed).not.toMatch(OBEYED);
      expect(JSON.parse(printed)).toEqual({ text });
    }),
  );
});
