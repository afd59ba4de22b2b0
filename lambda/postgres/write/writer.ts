import { setTimeout as sleep } from 'node:timers/promises';
import type { PoolClient } from 'pg';
import type { Deadline } from '../../deadline.ts';
import { DatabaseFailure, KeysetFailure } from '../../errors.ts';
import type { TableDeclaration } from '../../events/declaration.ts';
import type { EventIdentity } from '../../events/parse.ts';
import type { Log } from '../../log.ts';
import type { KeyProof } from '../../masking/key-proof.ts';
import type { SealerMemory } from '../../masking/sealer-memory.ts';
import type { StorableChunk } from '../../masking/table-masker.ts';
import type { Database } from '../connection.ts';
import { createKeyCheck } from '../keys/check.ts';
import { idempotencyIndex } from '../schema/table.ts';
import { classify, errorCode, type Failure, isDatabaseFault } from '../sqlstate.ts';
import { createBatchTransactions } from './batch-transactions.ts';
import { merge, report, retryAll, type WriteReport } from './report.ts';
import { divide, type SortedRows, sortRows } from './rows.ts';

/** What is to be written. */
export interface Batch {
  /** Events of the messages that SQS has handed out before: they may be in the table already. */
  readonly redelivered: readonly EventIdentity[];
  /** How many chunks of rows there are, empty ones included. */
  readonly chunks: number;
  /**
   * Rows, made while the first ones are already on their way; no two of the same event. The same at each call, so that
   * what was made for one attempt need not be kept for another.
   *
   * @param stored those of the redelivered events that are in the table; rows of them would make COPY fail
   */
  rows(stored: readonly EventIdentity[]): Iterable<StorableChunk>;
}

export interface Writer {
  /**
   * Writes all rows in one transaction, each exactly once however often it comes.
   *
   * @param keys proofs of the key that the tokens are made with
   * @throws DatabaseFailure when the database as a whole fails; then nothing is known to be committed
   * @throws KeysetFailure when the table was written with another key of the same name, or layered otherwise; then no row is made
   */
  write(keys: readonly KeyProof[], batch: Batch, deadline: Deadline): Promise<WriteReport>;
}

const MAX_ATTEMPTS = 4;
/** Longest wait before the second attempt; it doubles with each further one. Milliseconds. */
const BACKOFF = 100;

/** @param memory of what is in the vault, where values are sealed */
export function createWriter(
  declaration: TableDeclaration,
  database: Database,
  log: Log,
  memory?: SealerMemory,
): Writer {
  const index = idempotencyIndex(declaration);
  const transactions = createBatchTransactions(declaration, memory);
  const checkKeys = createKeyCheck(declaration);

  /** Work on a connection, and before it the check of the key: no attempt sends a row without. */
  function useWithKeys<T>(
    keys: readonly KeyProof[],
    deadline: Deadline,
    work: (client: PoolClient) => Promise<T>,
  ): Promise<T> {
    return database.use(deadline, async (client) => {
      memory?.connected(client);
      await checkKeys(client, keys, deadline);
      return work(client);
    });
  }

  /** The first attempt: COPY, and on the same connection what takes its place where it can't take a row. */
  function firstAttempt(
    keys: readonly KeyProof[],
    pending: Pending,
    deadline: Deadline,
  ): Promise<WriteReport> {
    return useWithKeys(keys, deadline, async (client) => {
      const { redelivered, chunks, count } = pending;
      if (redelivered.length > 0) pending.stored = await transactions.find(client, redelivered, deadline);
      return transactions
        .copy(client, chunks, count, deadline)
        .catch(otherwise('row', () => transactions.copyAccepted(client, chunks, deadline)))
        .catch(otherwise('duplicate', () => transactions.insert(client, sortRows([...chunks]), deadline)));
    });
  }

  /** What takes the place of work that ended in this failure. */
  function otherwise<T>(failure: Failure, work: () => Promise<T>): (error: unknown) => Promise<T> {
    return async (error) => {
      if (classify(error, index) !== failure) throw error;
      return work();
    };
  }

  /** Every later attempt: a lost connection may have committed, so only the idempotent INSERT may follow. */
  function nextAttempt(
    keys: readonly KeyProof[],
    rows: SortedRows,
    deadline: Deadline,
  ): Promise<WriteReport> {
    return useWithKeys(keys, deadline, (client) => transactions.insert(client, rows, deadline));
  }

  /** Half the rows take half the time; a half that is still too slow comes again another time. */
  async function inHalves(
    keys: readonly KeyProof[],
    rows: SortedRows,
    deadline: Deadline,
  ): Promise<WriteReport> {
    const parts: WriteReport[] = [];
    for (const half of divide(rows, 2)) {
      const part = await nextAttempt(keys, half, deadline).catch((error: unknown) => {
        if (error instanceof KeysetFailure) throw error;
        log.warn('half a batch failed', { code: errorCode(error) });
        return retryAll([half], unreachableBy(classify(error, index), error));
      });
      parts.push(part);
    }
    return parts.reduce(merge);
  }

  async function writePending(
    keys: readonly KeyProof[],
    pending: Pending,
    deadline: Deadline,
  ): Promise<WriteReport> {
    const { chunks } = pending;
    let unreachable: string | undefined;
    for (let attempt = 1; ; attempt++) {
      if (deadline.remaining() === 0) return retryAll([...chunks], unreachable);
      try {
        return await (attempt === 1
          ? firstAttempt(keys, pending, deadline)
          : nextAttempt(keys, sortRows([...chunks]), deadline));
      } catch (error) {
        if (!isDatabaseFault(error) || pending.failed) throw error;
        // Rows of the next attempt are made before it has a connection, which may lead to another database.
        memory?.clear();
        // The statement is sent before the first row is known, and where there is none nothing has failed.
        if ([...chunks].every(({ events }) => events.length === 0)) return report({});
        const failure = classify(error, index);
        log.warn('write failed', { code: errorCode(error), attempt });
        unreachable = unreachableBy(failure, error);
        if (failure === 'slow') return inHalves(keys, sortRows([...chunks]), deadline);
        if (deadline.remaining() === 0) continue;
        if (attempt === MAX_ATTEMPTS || !isWorthRetrying(failure, attempt)) {
          if (failure === 'contention') return retryAll([...chunks]);
          throw new DatabaseFailure(FAILURES[failure], errorCode(error));
        }
        await sleep(Math.min(Math.random() * BACKOFF * 2 ** attempt, deadline.remaining()));
      }
    }
  }

  return {
    write: (keys, batch, deadline) => writePending(keys, pendingOf(batch), deadline),
  };
}

/** A batch on its way. */
interface Pending {
  readonly redelivered: readonly EventIdentity[];
  /** Those of the redelivered events of which it is known that they are in the table. */
  stored: readonly EventIdentity[];
  readonly count: number;
  /** The rows of all others, so many chunks. */
  readonly chunks: Iterable<StorableChunk>;
  /** True when it was the making of rows that threw. */
  failed: boolean;
}

function pendingOf({ redelivered, chunks: count, rows }: Batch): Pending {
  function* made() {
    try {
      yield* rows(pending.stored);
    } catch (error) {
      pending.failed = true;
      throw error;
    }
  }
  const chunks = { [Symbol.iterator]: made };
  const pending: Pending = { redelivered, count, chunks, stored: [], failed: false };
  return pending;
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
