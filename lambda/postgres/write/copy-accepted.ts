import type { ClientBase, DatabaseError } from 'pg';
import type { Deadline } from '../../deadline.ts';
import type { SealedValues } from '../../masking/sealer.ts';
import type { StorableChunk } from '../../masking/table-masker.ts';
import { classify } from '../sqlstate.ts';
import { putIntoVault, tokensInTable, type VaultInsert } from '../vault/vault.ts';
import { copyEach } from './copy.ts';
import { encodeRows } from './copy-rows.ts';
import { merge, refusal, report, requireAll, retryAll, type WriteReport } from './report.ts';
import { sortRows } from './rows.ts';

/** Kept for the COMMIT of a batch whose bad rows are still being looked for. Milliseconds. */
export const COMMIT_TIME = 500;

/** Rows of a chunk: `from` to `to`, `to` excluded. */
type Piece = readonly [from: number, to: number];

/**
 * Copies all rows but those that the table refuses for what they hold, a chunk after the other, each piece of it behind a
 * savepoint. PostgreSQL says at which row a COPY fails; the pieces that follow are the rows before it with it alone after
 * them, in one message, and the rows behind it: two round trips for each refused row. Where it does not say, they are
 * halves. No row is refused that was not refused alone.
 *
 * @param statements COPY, what begins a transaction, the name of the idempotency index, and what fills the vault
 * @throws pg's error for all other reasons; a row that is there already is one
 */
export async function copyAccepted(
  client: ClientBase,
  statements: {
    readonly begin: string;
    readonly copy: string;
    readonly index: string;
    readonly vault: VaultInsert;
  },
  chunks: Iterable<StorableChunk>,
  deadline: Deadline,
): Promise<WriteReport> {
  const { begin, copy, index, vault } = statements;
  // Released, because every open savepoint holds a lock of the server's.
  const between = 'RELEASE SAVEPOINT part; SAVEPOINT part';
  let before = `${begin}; SAVEPOINT part`;

  async function copyChunk(chunk: StorableChunk): Promise<WriteReport> {
    let result = report({});
    let pieces: Piece[] = chunk.events.length > 0 ? [[0, chunk.events.length]] : [];
    while (pieces.length > 0) {
      // What has been found good so far is worth more than knowing the rest.
      if (deadline.remaining() < COMMIT_TIME)
        return merge(result, retryAll(pieces.map((piece) => ({ events: chunk.events.slice(...piece) }))));
      const next = pieces.slice(0, firstAlone(pieces) + 1);
      const files = next.map(([from, to]) => [encodeRows(chunk, from, to)]);
      const query = { before, copy, times: files.length, between };
      const { taken, error } = await copyEach(client, query, files);
      for (const [i, rows] of taken.entries()) requireAll(sizeOf(next[i]!), rows);
      result = merge(result, report({ stored: taken.reduce((sum, rows) => sum + rows, 0) }));
      pieces = pieces.slice(taken.length);
      before = between;
      if (error === undefined) continue;
      if (classify(error, index) !== 'row') throw error;
      before = 'ROLLBACK TO SAVEPOINT part';
      const [failed, ...others] = pieces as [Piece, ...Piece[]];
      if (sizeOf(failed) === 1)
        result = merge(result, report({ refused: [refusal(chunk.events[failed[0]]!, error)] }));
      pieces = [...divideAtFailure(failed, error), ...others];
    }
    return result;
  }

  let sealed: SealedValues | undefined;
  const tokens = new Set<string>();

  async function copyAndNote(chunk: StorableChunk): Promise<WriteReport> {
    const result = await copyChunk(chunk);
    sealed = chunk.sealed;
    if (sealed === undefined) return result;
    for (const token of tokensInTable(sortRows([chunk]), result)) tokens.add(token);
    return result;
  }

  let whole = report({});
  let copying = Promise.resolve(whole);
  for (const chunk of chunks) {
    // The next chunk is made while the server has this one.
    whole = merge(whole, await copying);
    copying = copyAndNote(chunk);
    copying.catch(() => {});
  }
  whole = merge(whole, await copying);
  if (tokens.size > 0) {
    await client.query(before);
    before = between;
    await putIntoVault(client, vault(sealed, tokens));
  }
  await client.query(`${before}; COMMIT`);
  return whole;
}

function sizeOf([from, to]: Piece): number {
  return to - from;
}

/** The place of the first row that is tried alone: it may well be refused, and what follows it in vain. @default all */
function firstAlone(pieces: readonly Piece[]): number {
  const place = pieces.findIndex((piece) => sizeOf(piece) === 1);
  return place < 0 ? pieces.length : place;
}

/** @returns what is to be tried of a piece that failed, in its order; nothing of a single row */
function divideAtFailure([from, to]: Piece, error: unknown): Piece[] {
  if (to - from === 1) return [];
  const row = refusedRow(error, to - from);
  const cuts = row === undefined ? [from + ((to - from) >> 1)] : [from + row, from + row + 1];
  const bounds = [from, ...cuts, to];
  return cuts.concat(to).flatMap((end, i): Piece[] => (bounds[i]! < end ? [[bounds[i]!, end]] : []));
}

/**
 * Which row a COPY failed at, as the context of its error says, in its last line: `COPY <table>, line <row>`. Only a hint,
 * because it is text, in the server's language.
 *
 * @returns undefined where it says nothing, as of a trigger after the row, or nothing that can be
 */
function refusedRow(error: unknown, rows: number): number | undefined {
  const { where = '' } = error as Partial<DatabaseError>;
  const row = Number(/(?:^|\n)COPY [^\n]*, line (\d+)[^\n]*$/.exec(where)?.[1]) - 1;
  return row >= 0 && row < rows ? row : undefined;
}
