import type { SQSRecord } from 'aws-lambda';
import type { Deadline } from './deadline.ts';
import type { TableDeclaration } from './events/declaration.ts';
import { type ParsedChunk, parseBatch, type Repeat } from './events/parse.ts';
import type { Rejection } from './events/rejection.ts';
import type { StorableChunk } from './masking/masker.ts';
import type { WriteReport, Writer } from './postgres/writer.ts';

/** What became of a batch: every record of it is counted once. */
export interface BatchReport {
  readonly received: number;
  readonly stored: number;
  readonly duplicates: number;
  /** Never to be stored as they are: SQS redrives them to the dead-letter queue. */
  readonly rejected: readonly Rejection[];
  /** Not committed; to come again. */
  readonly retried: readonly string[];
}

export interface Stages {
  readonly declaration: TableDeclaration;
  readonly mask: (chunk: ParsedChunk) => StorableChunk;
  readonly writer: Writer;
}

/**
 * Records that are parsed, masked and sent at a time. The first chunk is small, so that Postgres starts early, and the
 * later ones are large enough for the lockstep cipher but not so large that it waits for them.
 */
const FIRST_CHUNK = 64;
const LARGEST_CHUNK = 512;

/** Parses, masks and writes one batch. Parsing and masking run while Postgres takes the rows before. */
export async function ingestBatch(
  { declaration, mask, writer }: Stages,
  records: readonly SQSRecord[],
  deadline: Deadline,
): Promise<BatchReport> {
  const rejected: Rejection[] = [];
  const repeats: Repeat[] = [];
  function* storable() {
    for (const chunk of parseBatch(declaration, records, FIRST_CHUNK, LARGEST_CHUNK)) {
      rejected.push(...chunk.rejected);
      repeats.push(...chunk.repeats);
      if (chunk.events.length > 0) yield mask(chunk);
    }
  }
  const written = await writer.write(storable(), deadline);
  return settle(records.length, rejected, repeats, written);
}

/** Adds the repeats. One whose first message is not stored is no duplicate; it comes again, and may be better. */
function settle(
  received: number,
  rejected: readonly Rejection[],
  repeats: readonly Repeat[],
  { stored, duplicates, refused, retry }: WriteReport,
): BatchReport {
  const failed = new Set([...refused.map(({ messageId }) => messageId), ...retry]);
  const again = repeats.filter(({ of }) => failed.has(of)).map(({ messageId }) => messageId);
  const report: BatchReport = {
    received,
    stored,
    duplicates: duplicates + repeats.length - again.length,
    rejected: [...rejected, ...refused],
    retried: [...retry, ...again],
  };
  const accounted = report.stored + report.duplicates + report.rejected.length + report.retried.length;
  // What is not accounted for would be acknowledged and lost.
  if (accounted !== received) throw new Error(`batch of ${received}: ${accounted} accounted for`);
  return report;
}
