import { closeSync, fstatSync, readdirSync, statSync } from 'node:fs';
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

/** The number by which this process has it open. */
function openAs(path: string): number | undefined {
  const { dev, ino } = statSync(path);
  const numbers = readdirSync('/dev/fd').map(Number);
  return numbers.find((fd) => {
    try {
      const open = fstatSync(fd);
      return open.dev === dev && open.ino === ino;
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
      expect(openAs(file)).toBeDefined();
      const iterator = lines[Symbol.asyncIterator]();
      const read: unknown[] = [];
      for (let i = 0; i < count; i++) read.push((await iterator.next()).value);
      expect(read).toEqual([{ line: 1, body: 'one' }, { line: 3, body: 'two' }, undefined].slice(0, count));
    }
    expect(openAs(file)).toBeUndefined();
  });

  it('of a directory are none, and leave nothing open', async () => {
    await expect(openLines(directory)).rejects.toThrow('cannot be read (EISDIR)');
    expect(openAs(directory)).toBeUndefined();
  });

  it('say in one line that they cannot be read on', async () => {
    const reading = async () => {
      await using lines = await openLines(file);
      closeSync(openAs(file)!);
      for await (const _line of lines) expect.fail('a line was read');
    };

    await expect(reading()).rejects.toThrow(`input file ${file} cannot be read (EBADF)`);
  });
});
