import type { Context, SQSBatchResponse, SQSEvent } from 'aws-lambda';
import type { Config } from './config.ts';
import { deadlineOf } from './deadline.ts';
import { VizardError } from './errors.ts';
import type { TableDeclaration } from './events/declaration.ts';
import { type BatchReport, ingestBatch } from './ingest.ts';
import { describeError, type Log } from './log.ts';
import { chunkMasker } from './masking/masker.ts';
import { openDatabase } from './postgres/connection.ts';
import { createWriter } from './postgres/writer.ts';

/** The function as Lambda and the command line run it. */
export interface IngestFunction {
  /**
   * One invocation. The response names every message that is not committed, whatever the reason.
   *
   * @throws VizardError when the batch as a whole failed, so that the event source mapping backs off
   */
  handler(event: SQSEvent, context: Pick<Context, 'getRemainingTimeInMillis'>): Promise<SQSBatchResponse>;
  /** Closes the database connection. */
  close(): Promise<void>;
}

/** Told what became of each batch. */
export type BatchListener = (report: BatchReport) => void;

/** Puts the stages together: parse, mask, write, report. */
export function createFunction(
  declaration: TableDeclaration,
  config: Config,
  log: Log,
  onBatch: BatchListener = () => {},
): IngestFunction {
  const database = openDatabase(config.databaseUrl, (code) => log.warn('idle connection lost', { code }));
  const writer = createWriter(declaration, database, log);
  const mask = chunkMasker(config.keyset, config.masking, declaration);

  return {
    async handler({ Records: records }, context) {
      const start = performance.now();
      try {
        const report = await ingestBatch({ declaration, mask, writer }, records, deadlineOf(context));
        logBatch(log, report, performance.now() - start);
        onBatch(report);
        return response(report);
      } catch (error) {
        throw unexpected(log, error);
      }
    },
    close: () => database.close(),
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

/** Lambda logs what is thrown, message and all, so only an error that is known to hold no value may get out. */
function unexpected(log: Log, error: unknown): VizardError {
  if (error instanceof VizardError) {
    log.error(error.message, {});
    return error;
  }
  log.error('unexpected error', describeError(error));
  return new VizardError('unexpected error; the log has its class and where it was thrown');
}
