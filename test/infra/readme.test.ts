import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { CONTEXT_KEYS } from '../../lib/context-keys.ts';

const README = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');

describe("the README's table of the context", () => {
  it('has every key as it is', () => {
    const rows = README.split('\n')
      .map((line) => line.split('|').map((cell) => cell.trim()))
      .filter((cells) => cells.length === 6 && /^`[a-zA-Z]+`$/.test(cells[1]!))
      .map(([, name, allowed, otherwise, meaning]) => [
        name!.replaceAll('`', ''),
        allowed,
        otherwise,
        meaning,
      ]);
    const expected = CONTEXT_KEYS.map(({ name, allowed, otherwise, meaning }) => [
      name,
      allowed,
      otherwise,
      meaning,
    ]);

    expect(rows.filter(([name]) => CONTEXT_KEYS.some((key) => key.name === name))).toEqual(expected);
  });
});
