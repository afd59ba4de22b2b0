import type { ClientBase, DatabaseError } from 'pg';
import type { Deadline } from '../deadline.ts';
import type { StorableChunk } from '../masking/table-masker.ts';
import { copyInto } from './copy.ts';
import { encodeRows } from './copy-rows.ts';
import { classify } from './sqlstate.ts';
import { merge, refusal, report, requireAll, retryAll, type WriteReport } from './write-report.ts';

/** Kept for the COMMIT of a batch whose bad rows are still being looked for. Milliseconds. */
export const COMMIT_TIME = 500;

/** Rows of a chunk: `from` to `to`, `to` excluded. */
type Range = readonly [from: number, to: number];

/**
 * Copies all rows but those that the table refuses for what they hold. PostgreSQL says at which row a COPY fails: the rows
 * before it go in, it is tried alone, and the COPY goes on after it, three round trips for each refused row. Where it does
 * not say, the rows are halved. No row is refused that was not refused alone.
 *
 * @param statements COPY, what begins a transaction, and the name of the idempotency index
 * @throws pg's error for all other reasons; a row that is there already is one
 */
export async function copyAccepted(
  client: ClientBase,
  statements: { readonly begin: string; readonly copy: string; readonly index: string },
  chunks: Iterable<StorableChunk>,
  deadline: Deadline,
): Promise<WriteReport> {
  const { begin, copy, index } = statements;
  /** Sent with the next COPY. Every part that is good is left behind a savepoint. */
  let before = `${begin}; SAVEPOINT part`;

  async function copyRange(chunk: StorableChunk, [from, to]: Range): Promise<WriteReport> {
    const events = chunk.events.slice(from, to);
    // What has been found good so far is worth more than knowing the rest.
    if (deadline.remaining() < COMMIT_TIME) return retryAll([{ events }]);
    try {
      const stored = await copyInto(client, { before, copy, times: 1 }, [encodeRows(chunk, from, to)]);
      requireAll(events.length, stored);
      // Released first, because every open savepoint holds a lock of the server's.
      before = 'RELEASE SAVEPOINT part; SAVEPOINT part';
      return report({ stored });
    } catch (error) {
      if (classify(error, index) !== 'row') throw error;
      before = 'ROLLBACK TO SAVEPOINT part';
      if (events.length === 1) return report({ refused: [refusal(events[0]!, error)] });
      const row = refusedRow(error, events.length);
      const cuts = row === undefined ? [from + (events.length >> 1)] : [from + row, from + row + 1];
      return copyRanges(chunk, [from, ...cuts, to]);
    }
  }

  /** @param bounds of ranges that follow one another; empty ones are left out */
  async function copyRanges(chunk: StorableChunk, bounds: readonly number[]): Promise<WriteReport> {
    let whole = report({});
    for (const [i, from] of bounds.slice(0, -1).entries()) {
      const to = bounds[i + 1]!;
      if (from < to) whole = merge(whole, await copyRange(chunk, [from, to]));
    }
    return whole;
  }

  let whole = report({});
  for (const chunk of chunks) whole = merge(whole, await copyRanges(chunk, [0, chunk.events.length]));
  await client.query(`${before}; COMMIT`);
  return whole;
}

/**
 * Which row a COPY failed at, as the context of its error says: `COPY <table>, line <row>`, the outermost and so the last.
 * Only a hint, because it is text, in the server's language.
 *
 * @returns undefined where it says nothing that can be
 */
function refusedRow(error: unknown, rows: number): number | undefined {
  const { where = '' } = error as Partial<DatabaseError>;
  const row =
    Number(
      where
        .match(/\bline (\d+)/g)
        ?.at(-1)
        ?.slice('line '.length),
    ) - 1;
  return row >= 0 && row < rows ? row : undefined;
}
