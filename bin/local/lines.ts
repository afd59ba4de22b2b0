import { open } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { VizardError } from '../../lambda/errors.ts';

/** One message body, with the number of its line, from 1. */
export interface Line {
  readonly line: number;
  readonly body: string;
}

/**
 * Opens a file of message bodies, one a line, `-` for standard input. Empty lines are passed over: SQS has no empty
 * messages.
 *
 * @throws VizardError when the file can't be opened or is no file
 */
export async function openLines(file: string): Promise<AsyncIterable<Line>> {
  if (file === '-') return numbered(process.stdin);
  try {
    const handle = await open(file);
    if ((await handle.stat()).isDirectory()) throw Object.assign(new Error(), { code: 'EISDIR' });
    return numbered(handle.createReadStream());
  } catch (error) {
    throw new VizardError(`input file ${file} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

async function* numbered(input: Readable): AsyncGenerator<Line> {
  let line = 0;
  for await (const text of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    line++;
    const body = line === 1 ? text.replace(/^\uFEFF/, '') : text;
    if (body !== '') yield { line, body };
  }
}
