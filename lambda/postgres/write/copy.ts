import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ClientBase, Connection, Submittable } from 'pg';
import { columnNames, type TableDeclaration } from '../../events/declaration.ts';
import { Pipeline, type Statement } from './pipeline.ts';

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
  /** After all of that, asked for when the last row has been made. Sent at once, as everything is. */
  readonly afterwards?: () => readonly Statement[];
}

/** What became of the COPYs of one message. */
export interface CopyOutcome {
  /** How many rows the table took, for each COPY that was done. */
  readonly taken: readonly number[];
  /** The server's error, of the COPY that follows or of the statements around; none of those after it was run. */
  readonly error?: unknown;
}

/** Rows for one COPY, as encodeRows makes them, in any number of parts. */
export type CopyFile = Iterable<Uint8Array>;

/**
 * Runs COPY FROM STDIN once or several times in one message, and feeds it. Rows are sent while later ones are still being
 * made, and nothing waits for the server before the end: statements, rows and COMMIT are one round trip.
 *
 * @throws what the files throw; then the server has discarded all rows of the COPY that it was at
 */
export async function copyEach(
  client: ClientBase,
  query: CopyQuery,
  files: Iterable<CopyFile>,
): Promise<CopyOutcome> {
  const copy = client.query(new CopyIn(query));
  try {
    let times = 0;
    let parts = 0;
    for (const file of files) {
      times++;
      copy.begin();
      for (const rows of file) {
        // A batch is at most 6 MB, so all of it may wait in memory; but the server's word is to be heard in between.
        if (parts++ > 0) await nextTurn();
        if (copy.failed) return copy.done;
        copy.send(rows);
      }
      copy.end();
    }
    if (times !== query.times) throw new RangeError(`${times} files for ${query.times} COPYs`);
    if (query.afterwards !== undefined && !copy.failed) return await follow(client, copy, query.afterwards());
  } catch (error) {
    copy.abandon();
    await copy.done;
    throw error;
  }
  return copy.done;
}

/** Sends statements behind the COPYs. One that failed takes them along: its transaction takes nothing more. */
async function follow(
  client: ClientBase,
  copy: CopyIn,
  statements: readonly Statement[],
): Promise<CopyOutcome> {
  // pg takes no third query while it waits with the second.
  if (copy.connection === undefined) await copy.done;
  const following = client.query(new Pipeline(statements));
  if (copy.connection !== undefined) following.submit(copy.connection);
  const outcome = await copy.done;
  const error = await following.done;
  return error === undefined || outcome.error !== undefined ? outcome : { ...outcome, error };
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
  files: Iterable<CopyFile>,
): Promise<number> {
  const { taken, error } = await copyEach(client, query, files);
  if (error !== undefined) throw error;
  return taken.reduce((sum, rows) => sum + rows, 0);
}

/** What stands before and after the rows. @see https://www.postgresql.org/docs/current/sql-copy.html "Binary Format" */
const HEADER = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1');
const TRAILER = Buffer.from([0xff, 0xff]);

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
const copyData = (bytes: Uint8Array) => message('d', bytes);
const COPY_DONE = message('c');
/** Makes the server discard what it was sent. Its log shows the text, so it is a constant. */
const COPY_FAIL = message('f', Buffer.from('batch abandoned\0'));

/**
 * A query for pg that sends its rows without waiting for the server to ask for them. Where the query fails first, the
 * server drops them (https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-COPY).
 */
class CopyIn implements Submittable {
  /** Settles when the server is ready for another query, or has failed. Never rejects. */
  readonly done: Promise<CopyOutcome>;
  failed = false;
  /** Undefined until everything before has been answered. */
  connection: Connection | undefined;
  private readonly query: CopyQuery;
  private readonly taken: number[] = [];
  private readonly settle: (outcome: CopyOutcome) => void;
  /** To go with what is sent next, or when pg no longer waits for the end of the query before. */
  private waiting: Uint8Array[] = [];

  constructor(query: CopyQuery) {
    this.query = query;
    const { promise, resolve } = Promise.withResolvers<CopyOutcome>();
    this.done = promise;
    this.settle = resolve;
  }

  /** Goes with what is sent next. */
  begin(): void {
    this.waiting.push(...copyData(HEADER));
  }

  send(rows: Uint8Array): void {
    this.write(copyData(rows));
  }

  end(): void {
    this.write([...copyData(TRAILER), ...COPY_DONE]);
  }

  abandon(): void {
    this.write(COPY_FAIL);
  }

  private write(parts: readonly Uint8Array[]): void {
    this.waiting.push(...parts);
    if (this.failed || this.connection === undefined) return;
    const { stream } = this.connection;
    stream.cork();
    for (const part of this.waiting) stream.write(part);
    stream.uncork();
    this.waiting = [];
  }

  /** What follows is called by pg. */
  submit(connection: Connection): void {
    this.connection = connection;
    const { before, copy, times, between, after } = this.query;
    const copies = Array.from({ length: times }, (_, i) => (i === 0 ? [copy] : [between, copy]));
    const statements = [before, ...copies.flat(), after];
    connection.query(statements.filter((statement) => statement !== undefined).join('; '));
    if (this.waiting.length > 0) this.write([]);
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
