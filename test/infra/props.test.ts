import { globSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const LIB = new URL('../../lib/', import.meta.url).pathname;

/** Optional members of interfaces of props whose comment names no default. */
function withoutDefault(file: string): string[] {
  const source = readFileSync(LIB + file, 'utf8');
  const props = [...source.matchAll(/^export interface \w+Props[^{]*\{\n([\s\S]*?)^\}/gm)].map(
    ([, body]) => body!,
  );
  return props.flatMap((body) =>
    [...body.matchAll(/((?: {2}(?:\/\*\*| \*)[^\n]*\n)*) {2}readonly (\w+)\?:/g)]
      .filter(([, comment]) => !comment!.includes('@default'))
      .map(([, , name]) => `${file}: ${name}`),
  );
}

describe('props of constructs', () => {
  it('say what happens without each optional one', () => {
    expect(globSync('**/*.ts', { cwd: LIB }).flatMap(withoutDefault)).toEqual([]);
  });
});
