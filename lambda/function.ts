import type { SQSBatchResponse, SQSEvent, SQSRecord } from 'aws-lambda';
import { type Deadline, deadlineOf, type InvocationClock } from './deadline.ts';
import { KeysetFailure, type VizardError } from './errors.ts';
import type { Masking, TableDeclaration } from './events/declaration.ts';
import { type BatchReport, ingestBatch } from './ingest.ts';
import { describeError, type Log, reportFailure } from './log.ts';
import type { Keyset, KeysetSource } from './masking/keyset.ts';
import { createSealer } from './masking/sealer.ts';
import { createSealerMemory } from './masking/sealer-memory.ts';
import type { RecoveryKey } from './masking/sealing.ts';
import { type TableMasker, tableMasker } from './masking/table-masker.ts';
import { type Login, openDatabase } from './postgres/connection.ts';
import { createWriter } from './postgres/write/writer.ts';

/** What the function works with. */
export interface Resources {
  readonly login: Login;
  /** Asked at each invocation. */
  readonly keyset: KeysetSource;
  /** The scheme of columns whose declaration does not fix one. */
  readonly masking: Masking;
  /** To which values are sealed for the vault. @default - they are not */
  readonly recoveryKey?: RecoveryKey | undefined;
}

/** Told how each invocation ended, in one way or the other. */
export interface Observer {
  /** The batch was answered. */
  batch(report: BatchReport): void;
  /** The batch as a whole failed. */
  failed(error: VizardError): void;
}

/** The function as Lambda and the command line run it. */
export interface IngestFunction {
  /**
   * One invocation. The response names every message that is not committed, whatever the reason.
   *
   * @throws VizardError when the batch as a whole failed, so that the event source mapping backs off
   */
  handler(event: SQSEvent, context: InvocationClock): Promise<SQSBatchResponse>;
  /** Closes the database connection. */
  close(): Promise<void>;
}

/**
 * Puts the stages together: keyset, parse, mask, write, report.
 *
 * @throws ConfigError where values are to be sealed, and a column's tokens could be recovered otherwise
 */
export function createFunction(
  declaration: TableDeclaration,
  { login, keyset, masking, recoveryKey }: Resources,
  log: Log,
  observer: Observer = { batch() {}, failed() {} },
): IngestFunction {
  const database = openDatabase(login, (code) => log.warn('idle connection lost', { code }));
  const memory = recoveryKey && createSealerMemory();
  const sealer = memory && createSealer(declaration, masking, recoveryKey, memory);
  const writer = createWriter(declaration, database, log, memory);
  /** A keyset that failed a batch is not taken from a cache again: whoever mends it should not have to wait. */
  let fresh = false;
  const masker = maskerOfTheMoment(
    () => keyset({ fresh }),
    (current) => {
      memory?.clear();
      return tableMasker(current, masking, declaration);
    },
  );

  async function attempt(records: readonly SQSRecord[], deadline: Deadline): Promise<BatchReport> {
    try {
      // While the keyset is fetched.
      database.prepare(deadline);
      const report = await ingestBatch({ declaration, masker, sealer, writer }, records, deadline);
      fresh = false;
      return report;
    } catch (error) {
      fresh = error instanceof KeysetFailure;
      const failure = reportFailure(log, error);
      regardless(log, () => observer.failed(failure));
      throw failure;
    }
  }

  return {
    async handler({ Records: records }, context) {
      const start = performance.now();
      const report = await attempt(records, deadlineOf(context));
      regardless(log, () => logBatch(log, report, performance.now() - start));
      regardless(log, () => observer.batch(report));
      return response(report);
    },
    close: () => database.close(),
  };
}

/** What is committed is answered, whatever becomes of telling about it. */
function regardless(log: Log, tell: () => void): void {
  try {
    tell();
  } catch (error) {
    try {
      log.error('log or metrics failed', describeError(error));
    } catch {
      // It is the log that failed.
    }
  }
}

/** Keys are derived again only when the keyset is another one. */
function maskerOfTheMoment(
  source: () => Promise<Keyset>,
  make: (keyset: Keyset) => TableMasker,
): () => Promise<TableMasker> {
  let made: { readonly keyset: Keyset; readonly masker: TableMasker } | undefined;
  return async () => {
    const keyset = await source();
    if (made?.keyset !== keyset) made = { keyset, masker: make(keyset) };
    return made.masker;
  };
}

function logBatch(
  log: Log,
  { received, stored, duplicates, rejected, retried }: BatchReport,
  milliseconds: number,
): void {
  for (const { messageId, field, code } of rejected) log.warn('rejected', { messageId, field, code });
  log.info('batch', {
    received,
    stored,
    duplicates,
    rejected: rejected.length,
    retried: retried.length,
    milliseconds: Math.round(milliseconds),
  });
}

/** @see https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting */
function response({ rejected, retried }: BatchReport): SQSBatchResponse {
  const failed = new Set([...rejected.map(({ messageId }) => messageId), ...retried]);
  return { batchItemFailures: [...failed].map((itemIdentifier) => ({ itemIdentifier })) };
}
