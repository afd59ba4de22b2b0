import type { Duplex } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ClientBase, Connection, Submittable } from 'pg';
import { columnNames, type TableDeclaration } from '../events/declaration.ts';

/** `COPY <table> (<columns>) FROM STDIN` in binary format, of which the server parses a third less than of text. */
export function copyStatement(declaration: TableDeclaration): string {
  return `COPY ${declaration.table} (${columnNames(declaration).join(', ')}) FROM STDIN (FORMAT binary)`;
}

/** Statements of which one message is made. What rows they return is not heard of. */
export interface CopyQuery {
  /** Before the first COPY. */
  readonly before?: string;
  readonly copy: string;
  /** How many times; as many files follow. */
  readonly times: number;
  /** Between two of them. */
  readonly between?: string;
  /** After the last COPY. */
  readonly after?: string;
}

/** What became of the COPYs of one message. */
export interface CopyOutcome {
  /** How many rows the table took, for each COPY that was done. */
  readonly taken: readonly number[];
  /** The server's error, of the COPY that follows or of the statements around; none of the others was run. */
  readonly error?: unknown;
}

/**
 * Runs COPY FROM STDIN once or several times in one message, and feeds it. Files are sent while later ones are still being
 * made, and nothing waits for the server before the end: statements, files and COMMIT are one round trip.
 *
 * @param files as encodeRows makes them
 * @throws what the files throw; then the server has discarded all rows of the COPY that it was at
 */
export async function copyEach(
  client: ClientBase,
  query: CopyQuery,
  files: Iterable<Uint8Array>,
): Promise<CopyOutcome> {
  const copy = client.query(new CopyIn(query));
  try {
    let sent = 0;
    for (const file of files) {
      // A batch is at most 6 MB, so all of it may wait in memory; but the server's word is to be heard in between.
      if (sent++ > 0) await nextTurn();
      if (copy.failed) break;
      copy.send(file);
    }
    if (!copy.failed && sent !== query.times) throw new RangeError(`${sent} files for ${query.times} COPYs`);
  } catch (error) {
    copy.abandon();
    await copy.done;
    throw error;
  }
  return copy.done;
}

/**
 * As copyEach, for who needs all or nothing.
 *
 * @returns how many rows the table took
 * @throws the server's error as well
 */
export async function copyInto(
  client: ClientBase,
  query: CopyQuery,
  files: Iterable<Uint8Array>,
): Promise<number> {
  const { taken, error } = await copyEach(client, query, files);
  if (error !== undefined) throw error;
  return taken.reduce((sum, rows) => sum + rows, 0);
}

/** A message by its first byte. @see https://www.postgresql.org/docs/current/protocol-message-formats.html */
function message(type: 'd' | 'c' | 'f', ...body: readonly Uint8Array[]): Uint8Array[] {
  const head = Buffer.alloc(5);
  head.write(type);
  head.writeInt32BE(
    body.reduce((sum, { length }) => sum + length, head.length - 1),
    1,
  );
  return [head, ...body];
}
const copyData = (file: Uint8Array) => message('d', file);
const COPY_DONE = message('c');
/** Makes the server discard what it was sent. Its log shows the text, so it is a constant. */
const COPY_FAIL = message('f', Buffer.from('batch abandoned\0'));

/**
 * A query for pg that sends its files without waiting for the server to ask for them. Where the query fails first, the
 * server drops them (https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-COPY).
 */
class CopyIn implements Submittable {
  /** Settles when the server is ready for another query, or has failed. Never rejects. */
  readonly done: Promise<CopyOutcome>;
  failed = false;
  private readonly query: CopyQuery;
  private readonly taken: number[] = [];
  private readonly settle: (outcome: CopyOutcome) => void;
  private stream: Duplex | undefined;
  /** What was sent while pg still waited for the end of the query before. */
  private readonly early: Uint8Array[] = [];

  constructor(query: CopyQuery) {
    this.query = query;
    const { promise, resolve } = Promise.withResolvers<CopyOutcome>();
    this.done = promise;
    this.settle = resolve;
  }

  send(file: Uint8Array): void {
    this.write([...copyData(file), ...COPY_DONE]);
  }

  abandon(): void {
    this.write(COPY_FAIL);
  }

  private write(parts: readonly Uint8Array[]): void {
    if (this.failed) return;
    if (this.stream === undefined) {
      this.early.push(...parts);
      return;
    }
    this.stream.cork();
    for (const part of parts) this.stream.write(part);
    this.stream.uncork();
  }

  /** What follows is called by pg. */
  submit(connection: Connection): void {
    this.stream = connection.stream;
    const { before, copy, times, between, after } = this.query;
    const copies = Array.from({ length: times }, (_, i) => (i === 0 ? [copy] : [between, copy]));
    const statements = [before, ...copies.flat(), after];
    connection.query(statements.filter((statement) => statement !== undefined).join('; '));
    this.write(this.early);
  }

  handleCopyInResponse(): void {}
  handleRowDescription(): void {}
  handleDataRow(): void {}

  handleCommandComplete({ text }: { readonly text: string }): void {
    const [, rows] = /^COPY (\d+)$/.exec(text) ?? [];
    if (rows !== undefined) this.taken.push(Number(rows));
  }

  handleError(error: unknown): void {
    this.failed = true;
    this.settle({ taken: this.taken, error });
  }

  handleReadyForQuery(): void {
    this.settle({ taken: this.taken });
  }
}
