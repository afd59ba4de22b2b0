import { once } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ClientBase } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { columnNames, type TableDeclaration } from '../events/declaration.ts';
import type { StorableChunk } from '../masking/table-masker.ts';

/** `COPY <table> (<columns>) FROM STDIN` in text format. */
export function copyStatement(declaration: TableDeclaration): string {
  return `COPY ${declaration.table} (${columnNames(declaration).join(', ')}) FROM STDIN`;
}

/**
 * Runs a query that ends with COPY FROM STDIN and feeds it; chunks are sent while later ones are still being made.
 *
 * @returns how many rows the table took
 * @throws the server's error, or what the chunks throw; then the server has discarded all rows
 */
export async function copyInto(client: ClientBase, sql: string, chunks: Iterable<string>): Promise<number> {
  // A batch is at most 6 MB, so all of it may wait in memory: no back-pressure, the server reads while we mask.
  const stream = client.query(copyFrom(sql, { highWaterMark: 64 * 1024 * 1024 }));
  const finished = once(stream, 'finish');
  let failed = false;
  stream.on('error', () => {
    failed = true;
    // Else it would go on to send what is still buffered, on a connection that it has let go of.
    stream.destroy();
  });
  finished.catch(() => {});
  try {
    for (const chunk of chunks) {
      if (failed) break;
      if (chunk !== '') stream.write(chunk);
      await nextTurn();
    }
  } catch (error) {
    // Makes the server discard the rows. Its log shows this message, so it is a constant.
    if (!failed) stream.destroy(new Error('batch abandoned'));
    await finished.catch(() => {});
    throw error;
  }
  if (!failed) stream.end();
  await finished;
  return stream.rowCount;
}

/**
 * Lines of COPY's text format (https://www.postgresql.org/docs/current/sql-copy.html, "Text Format").
 *
 * @param include which rows of the chunk; all of them where it is missing
 */
export function copyLines({ events, columns }: StorableChunk, include?: (row: number) => boolean): string {
  const fields = columns.map((column) =>
    column.kind === 'masked' ? column.values : column.values.map(escapePlain),
  );
  let lines = '';
  for (let row = 0; row < events.length; row++) {
    if (include !== undefined && !include(row)) continue;
    for (const values of fields) lines += `${values[row] ?? '\\N'}\t`;
    const { date, eventId } = events[row]!;
    lines += `${date}\t${eventId}\n`;
  }
  return lines;
}

const SPECIAL = /[\\\n\r\t]/;

function escapePlain(value: string | number | null): string | number | null {
  if (typeof value !== 'string' || !SPECIAL.test(value)) return value;
  return value.replace(/[\\\n\r\t]/g, (char) => ESCAPES[char]!);
}

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };
