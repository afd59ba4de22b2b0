import { fstatSync, readdirSync, statSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openLines } from '../../bin/local/lines.ts';

let directory: string;
let file: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'vizard-lines-'));
  file = join(directory, 'lines');
  await writeFile(file, 'one\n\ntwo\n');
});
afterAll(() => rm(directory, { recursive: true }));

/** Whether this process has it open. */
function isOpen(path: string): boolean {
  const { ino } = statSync(path);
  return readdirSync('/dev/fd').some((fd) => {
    try {
      return fstatSync(Number(fd)).ino === ino;
    } catch {
      // The one that /dev/fd itself was read with.
      return false;
    }
  });
}

describe('lines', () => {
  it.each([
    ['all of them are read', 3],
    ['some of them are read', 1],
    ['none is read', 0],
  ])('close their file when %s', async (_when, count) => {
    {
      await using lines = await openLines(file);
      expect(isOpen(file)).toBe(true);
      const iterator = lines[Symbol.asyncIterator]();
      const read: unknown[] = [];
      for (let i = 0; i < count; i++) read.push((await iterator.next()).value);
      expect(read).toEqual([{ line: 1, body: 'one' }, { line: 3, body: 'two' }, undefined].slice(0, count));
    }
    expect(isOpen(file)).toBe(false);
  });

  it('of a directory are none, and leave nothing open', async () => {
    await expect(openLines(directory)).rejects.toThrow('cannot be read (EISDIR)');
    expect(isOpen(directory)).toBe(false);
  });
});
