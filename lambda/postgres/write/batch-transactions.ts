import type { ClientBase } from 'pg';
import type { Deadline } from '../../deadline.ts';
import type { TableDeclaration } from '../../events/declaration.ts';
import type { EventIdentity } from '../../events/parse.ts';
import type { SealedValues } from '../../masking/sealer.ts';
import type { SealerMemory } from '../../masking/sealer-memory.ts';
import type { StorableChunk } from '../../masking/table-masker.ts';
import { idempotencyIndex } from '../schema/table.ts';
import { classify } from '../sqlstate.ts';
import { beginStatement, CHECK_AT_ONCE, inTransaction, limitTogether } from '../transaction.ts';
import { putIntoVault, tokensInTable, vaultInsert } from '../vault/vault.ts';
import { type CopyQuery, copyInto, copyStatement } from './copy.ts';
import { COMMIT_TIME, copyAccepted } from './copy-accepted.ts';
import { encodeRows } from './copy-rows.ts';
import { findEvents, findStatement } from './find-events.ts';
import { insertRows, insertStatement } from './insert.ts';
import { merge, refusal, report, requireAll, retryAll, type WriteReport } from './report.ts';
import { divide, type SortedRows } from './rows.ts';

/**
 * The transactions of which a batch is made, on a connection. Each throws pg's error, and has then changed nothing; and
 * DatabaseFailure where rows were dropped in silence.
 */
export interface BatchTransactions {
  /** @returns those events that are in the table */
  find(client: ClientBase, events: readonly EventIdentity[], deadline: Deadline): Promise<EventIdentity[]>;
  /**
   * All rows, or none where one is there already or is refused. Nothing is faster than COPY, and all of it is one round
   * trip.
   *
   * @param count how many chunks there are
   */
  copy(
    client: ClientBase,
    chunks: Iterable<StorableChunk>,
    count: number,
    deadline: Deadline,
  ): Promise<WriteReport>;
  /** All rows but those that are refused, or none where one is there already. */
  copyAccepted(client: ClientBase, chunks: Iterable<StorableChunk>, deadline: Deadline): Promise<WriteReport>;
  /** Inserts what is not there yet; rows that the database refuses are found by quartering. */
  insert(client: ClientBase, rows: SortedRows, deadline: Deadline): Promise<WriteReport>;
}

/**
 * In binary format the server keeps up to 1,000 rows before it stores them: a batch that has few times as many is stored
 * earlier by a COPY for each chunk. To a large one it makes no difference, but each COPY takes the server some time.
 */
const MOST_COPIES = 16;

/** Each by itself. */
function* each<T>(items: Iterable<T>): Generator<[T]> {
  for (const item of items) yield [item];
}

/**
 * @param memory of what is in the vault, where values are sealed: then each transaction puts into the vault what its rows
 *   need, after the rows, so that transactions which wait for each other all do so in one order
 */
export function createBatchTransactions(
  declaration: TableDeclaration,
  memory?: SealerMemory,
): BatchTransactions {
  const index = idempotencyIndex(declaration);
  const copy = copyStatement(declaration);
  const insert = insertStatement(declaration);
  const find = findStatement(declaration);
  const vault = vaultInsert(declaration);

  /** Leaves a savepoint behind what is good. In quarters, because halves find one bad row as fast and many slower. */
  async function insertPart(client: ClientBase, rows: SortedRows, deadline: Deadline): Promise<WriteReport> {
    const count = rows.events.length;
    // What has been found good so far is worth more than knowing the rest.
    if (deadline.remaining() < COMMIT_TIME) return retryAll([rows]);
    try {
      const stored = await insertRows(client, insert, rows);
      if (stored < count) requireAll(count, (await findEvents(client, find, rows.events)).length);
      // Released first, because every open savepoint holds a lock of the server's.
      await client.query('RELEASE SAVEPOINT part; SAVEPOINT part');
      return report({ stored, duplicates: count - stored });
    } catch (error) {
      if (classify(error, index) !== 'row') throw error;
      await client.query('ROLLBACK TO SAVEPOINT part');
      if (count === 1) return report({ refused: [refusal(rows.events[0]!, error)] });
      const parts: WriteReport[] = [];
      for (const quarter of divide(rows, 4)) parts.push(await insertPart(client, quarter, deadline));
      return parts.reduce(merge);
    }
  }

  return {
    find: (client, events, deadline) =>
      inTransaction(client, async () => {
        await client.query(beginStatement(deadline));
        const stored = await findEvents(client, find, events);
        await client.query('COMMIT');
        return stored;
      }),
    copy: (client, chunks, count, deadline) =>
      inTransaction(client, async () => {
        let sent = 0;
        let sealed: SealedValues | undefined;
        function* rows() {
          for (const chunk of chunks) {
            sent += chunk.events.length;
            sealed = chunk.sealed;
            yield encodeRows(chunk);
          }
        }
        const begin = beginStatement(deadline);
        const once = count === 1 || count > MOST_COPIES;
        const query: CopyQuery = {
          before: once && memory === undefined ? begin : `${begin}; ${limitTogether(deadline)}`,
          copy,
          times: once ? 1 : count,
          ...(memory === undefined
            ? { after: 'COMMIT' }
            : { afterwards: () => [...vault(sealed), { text: 'COMMIT' }] }),
        };
        const stored = await copyInto(client, query, once ? [rows()] : each(rows()));
        // What was taken is committed, and is found when all of it comes again.
        requireAll(sent, stored);
        if (sealed !== undefined) memory?.add(sealed.values.keys());
        return report({ stored });
      }),
    copyAccepted: (client, chunks, deadline) =>
      inTransaction(client, () =>
        copyAccepted(
          client,
          { begin: `${beginStatement(deadline)}; ${CHECK_AT_ONCE}`, copy, index, vault },
          chunks,
          deadline,
        ),
      ),
    insert: (client, rows, deadline) =>
      inTransaction(client, async () => {
        // With array_nulls off, NULL in an array would be the text 'NULL'.
        await client.query(
          `${beginStatement(deadline)}; SET LOCAL array_nulls = on; ${CHECK_AT_ONCE}; SAVEPOINT part`,
        );
        const result = await insertPart(client, rows, deadline);
        await putIntoVault(client, vault(rows.sealed, tokensInTable(rows, result)));
        await client.query('COMMIT');
        return result;
      }),
  };
}
