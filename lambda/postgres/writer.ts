import { setTimeout as sleep } from 'node:timers/promises';
import type { PoolClient } from 'pg';
import type { Deadline } from '../deadline.ts';
import { DatabaseFailure, KeysetFailure } from '../errors.ts';
import type { TableDeclaration } from '../events/declaration.ts';
import type { Rejection } from '../events/rejection.ts';
import type { Log } from '../log.ts';
import type { KeyProof } from '../masking/key-proof.ts';
import type { StorableChunk } from '../masking/table-masker.ts';
import type { Database } from './connection.ts';
import { copyInto, copyLines, copyStatement } from './copy.ts';
import { insertRows, insertStatement } from './insert.ts';
import { createKeyCheck } from './key-check.ts';
import { type Replayable, replayable, type SortedRows, sliceRows, sortRows } from './rows.ts';
import { classify, errorCode, type Failure, isDatabaseFault, refusedField } from './sqlstate.ts';
import { idempotencyIndex } from './table.ts';
import { beginStatement, inTransaction } from './transaction.ts';

/** What became of the rows; every row is in exactly one of them. */
export interface WriteReport {
  readonly stored: number;
  /** Rows whose event was in the table already. */
  readonly duplicates: number;
  /** Rows that the database refuses for what they hold. */
  readonly refused: readonly Rejection[];
  /** Messages that are not committed and should come again. */
  readonly retry: readonly string[];
  /**
   * The code of the last failure where the database took nothing: it could not be reached, or was lost. Undefined where
   * it took something, or where rows come again for another reason.
   */
  readonly unreachable?: string | undefined;
}

export interface Writer {
  /**
   * Writes all rows in one transaction, each exactly once however often it comes.
   *
   * @param key that the tokens are made with
   * @param chunks made while the first ones are already on their way; no two rows with the same event
   * @throws DatabaseFailure when the database as a whole fails; then nothing is known to be committed
   * @throws KeysetFailure when the table was written with another key of the same name; then no chunk is taken
   */
  write(key: KeyProof, chunks: Iterator<StorableChunk>, deadline: Deadline): Promise<WriteReport>;
}

const MAX_ATTEMPTS = 4;
/** Longest wait before the second attempt; it doubles with each further one. Milliseconds. */
const BACKOFF = 100;
/** Kept for the COMMIT of a batch whose bad rows are still being looked for. Milliseconds. */
const COMMIT_TIME = 500;

export function createWriter(declaration: TableDeclaration, database: Database, log: Log): Writer {
  const index = idempotencyIndex(declaration);
  const copy = copyStatement(declaration);
  const insert = insertStatement(declaration);
  const checkKey = createKeyCheck(declaration);

  /** Work on a connection, and before it the check of the key: no attempt sends a row without. */
  function useWithKey<T>(
    key: KeyProof,
    deadline: Deadline,
    work: (client: PoolClient) => Promise<T>,
  ): Promise<T> {
    return database.use(deadline, async (client) => {
      await checkKey(client, key, deadline);
      return work(client);
    });
  }

  /** Nothing is faster than COPY. What may be in the table already follows it as an idempotent INSERT. */
  async function copyBatch(client: PoolClient, chunks: Iterable<StorableChunk>, deadline: Deadline) {
    const seen: StorableChunk[] = [];
    let redelivered = 0;
    function* lines() {
      for (const chunk of chunks) {
        const again = chunk.events.filter((event) => event.redelivered).length;
        redelivered += again;
        seen.push(chunk);
        yield again === 0 ? copyLines(chunk) : copyLines(chunk, (row) => !chunk.events[row]!.redelivered);
      }
    }
    const copied = await copyInto(client, `${beginStatement(deadline)}; ${copy}`, lines());
    const fresh = seen.reduce((sum, { events }) => sum + events.length, 0) - redelivered;
    if (copied !== fresh)
      throw new DatabaseFailure(`the table took ${copied} of ${fresh} rows: a trigger drops some`, 'copy');
    const rest = sortRows(seen, (event) => event.redelivered);
    const again = redelivered > 0 ? await insertRows(client, insert, rest) : 0;
    await client.query('COMMIT');
    return report({ stored: fresh + again, duplicates: redelivered - again });
  }

  /** Inserts what is not there yet; rows that the database refuses are found by quartering. */
  async function insertBatch(client: PoolClient, rows: SortedRows, deadline: Deadline): Promise<WriteReport> {
    await client.query(`${beginStatement(deadline)}; SAVEPOINT part`);
    const result = await insertPart(client, rows, deadline);
    await client.query('COMMIT');
    return result;
  }

  /** Leaves a savepoint behind what is good. In quarters, because halves find one bad row as fast and many slower. */
  async function insertPart(client: PoolClient, rows: SortedRows, deadline: Deadline): Promise<WriteReport> {
    const count = rows.events.length;
    // What has been found good so far is worth more than knowing the rest.
    if (deadline.remaining() < COMMIT_TIME) return retryAll([rows]);
    try {
      const stored = await insertRows(client, insert, rows);
      // Released first, because every open savepoint holds a lock of the server's.
      await client.query('RELEASE SAVEPOINT part; SAVEPOINT part');
      return report({ stored, duplicates: count - stored });
    } catch (error) {
      if (classify(error, index) !== 'row') throw error;
      await client.query('ROLLBACK TO SAVEPOINT part');
      if (count === 1) return report({ refused: [refusal(rows.events[0]!.messageId, error)] });
      const parts: WriteReport[] = [];
      for (const quarter of divide(rows, 4)) parts.push(await insertPart(client, quarter, deadline));
      return parts.reduce(merge);
    }
  }

  /** The first attempt: COPY, and the idempotent INSERT on the same connection where COPY can't take a row. */
  function firstAttempt(key: KeyProof, chunks: Replayable<StorableChunk>, deadline: Deadline) {
    return useWithKey(key, deadline, async (client) => {
      try {
        return await inTransaction(client, () => copyBatch(client, chunks, deadline));
      } catch (error) {
        const failure = classify(error, index);
        if (failure !== 'duplicate' && failure !== 'row') throw error;
        return inTransaction(client, () => insertBatch(client, sortRows(chunks.all()), deadline));
      }
    });
  }

  /** Every later attempt: a lost connection may have committed, so only the idempotent INSERT may follow. */
  function nextAttempt(key: KeyProof, rows: SortedRows, deadline: Deadline) {
    return useWithKey(key, deadline, (client) =>
      inTransaction(client, () => insertBatch(client, rows, deadline)),
    );
  }

  /** Half the rows take half the time; a half that is still too slow comes again another time. */
  async function inHalves(key: KeyProof, rows: SortedRows, deadline: Deadline): Promise<WriteReport> {
    const parts: WriteReport[] = [];
    for (const half of divide(rows, 2)) {
      const part = await nextAttempt(key, half, deadline).catch((error: unknown) => {
        if (error instanceof KeysetFailure) throw error;
        log.warn('half a batch failed', { code: errorCode(error) });
        return retryAll([half], unreachableBy(classify(error, index), error));
      });
      parts.push(part);
    }
    return parts.reduce(merge);
  }

  return {
    async write(key, source, deadline) {
      const chunks = replayable(source);
      let unreachable: string | undefined;
      for (let attempt = 1; ; attempt++) {
        if (deadline.remaining() === 0) return retryAll(chunks.all(), unreachable);
        try {
          return await (attempt === 1
            ? firstAttempt(key, chunks, deadline)
            : nextAttempt(key, sortRows(chunks.all()), deadline));
        } catch (error) {
          if (!isDatabaseFault(error) || chunks.failed()) throw error;
          // The statement is sent before the first row is known, and where there is none nothing has failed.
          if (chunks.isEmpty()) return report({});
          const failure = classify(error, index);
          log.warn('write failed', { code: errorCode(error), attempt });
          unreachable = unreachableBy(failure, error);
          if (failure === 'slow') return inHalves(key, sortRows(chunks.all()), deadline);
          if (deadline.remaining() === 0) continue;
          if (attempt === MAX_ATTEMPTS || !isWorthRetrying(failure, attempt)) {
            if (failure === 'contention') return retryAll(chunks.all());
            throw new DatabaseFailure(FAILURES[failure], errorCode(error));
          }
          await sleep(Math.min(Math.random() * BACKOFF * 2 ** attempt, deadline.remaining()));
        }
      }
    },
  };
}

function retryAll(chunks: readonly Pick<StorableChunk, 'events'>[], unreachable?: string): WriteReport {
  const retry = chunks.flatMap(({ events }) => events.map(({ messageId }) => messageId));
  return report({ retry, unreachable });
}

/** A database that lets writers wait for each other, or ends what takes too long, is there. */
function unreachableBy(failure: Failure, error: unknown): string | undefined {
  return failure === 'contention' || failure === 'slow' ? undefined : errorCode(error);
}

function isWorthRetrying(failure: Failure, attempt: number): boolean {
  switch (failure) {
    case 'transient':
    case 'contention':
    case 'unknown':
      return true;
    case 'credentials':
      return attempt === 1;
    default:
      return false;
  }
}

/** What to say when the batch as a whole failed. */
const FAILURES = {
  transient: 'the database cannot be reached',
  unknown: 'the database did not say whether it committed',
  credentials: 'the database refuses the credentials',
  deployment: 'the database does not fit this version: schema or privileges',
  duplicate: 'the idempotent insert met a duplicate: the unique index is not the one of the migration',
  row: 'a row was refused outside its statement',
} as const satisfies Record<Exclude<Failure, 'slow' | 'contention'>, string>;

function refusal(messageId: string, error: unknown): Rejection {
  return { messageId, field: refusedField(error), code: errorCode(error) };
}

/** Parts of about the same size, none of them empty. */
function divide(rows: SortedRows, parts: number): SortedRows[] {
  const count = rows.events.length;
  const starts = Array.from({ length: parts + 1 }, (_, i) => Math.floor((i * count) / parts));
  return starts.slice(1).flatMap((end, i) => (end > starts[i]! ? [sliceRows(rows, starts[i]!, end)] : []));
}

function report(part: Partial<WriteReport>): WriteReport {
  return { stored: 0, duplicates: 0, refused: [], retry: [], ...part };
}

function merge(a: WriteReport, b: WriteReport): WriteReport {
  return {
    stored: a.stored + b.stored,
    duplicates: a.duplicates + b.duplicates,
    refused: [...a.refused, ...b.refused],
    retry: [...a.retry, ...b.retry],
    unreachable: a.unreachable && b.unreachable,
  };
}
