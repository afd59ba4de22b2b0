import { isUtf8 } from 'node:buffer';
import { open } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { VizardError } from '../../lambda/errors.ts';

/** One message body, with the number of its line, from 1. */
export interface Line {
  readonly line: number;
  /** null where the bytes of the line are not UTF-8. */
  readonly body: string | null;
}

/** What is read once, and whose file is closed with it, be it read to its end or not at all. */
export interface Lines extends AsyncIterable<Line>, AsyncDisposable {}

/**
 * Opens a file of message bodies, one a line, `-` for standard input. Empty lines are passed over: SQS has no empty
 * messages.
 *
 * @throws VizardError when the file can't be opened or read, or is no file
 */
export async function openLines(file: string): Promise<Lines> {
  const input = file === '-' ? process.stdin : await openFile(file);
  return {
    async *[Symbol.asyncIterator]() {
      try {
        yield* numbered(input);
      } catch (error) {
        throw unreadable(file, error);
      }
    },
    // What was wrong with it was said when it was read.
    [Symbol.asyncDispose]: () => input[Symbol.asyncDispose]().catch(() => {}),
  };
}

async function openFile(file: string): Promise<Readable> {
  try {
    const handle = await open(file);
    const input = handle.createReadStream();
    if (!(await handle.stat()).isDirectory()) return input;
    await input[Symbol.asyncDispose]();
    throw Object.assign(new Error(), { code: 'EISDIR' });
  } catch (error) {
    throw unreadable(file, error);
  }
}

function unreadable(file: string, error: unknown): VizardError {
  return new VizardError(`input file ${file} cannot be read (${(error as NodeJS.ErrnoException).code})`);
}

async function* numbered(input: Readable): AsyncGenerator<Line> {
  // Read byte by byte: decoding would put U+FFFD in the place of what is not UTF-8, and readline takes U+2028, which
  // JSON may hold, for the end of a line.
  input.setEncoding('latin1');
  let line = 0;
  for await (const text of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    line++;
    const bytes = Buffer.from(text, 'latin1');
    if (bytes.length === 0) continue;
    const body = isUtf8(bytes) ? bytes.toString() : null;
    yield { line, body: line === 1 && body !== null ? body.replace(/^\uFEFF/, '') : body };
  }
}
