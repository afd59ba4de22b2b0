import type { SQSRecord } from 'aws-lambda';
import type { Deadline } from './deadline.ts';
import type { TableDeclaration } from './events/declaration.ts';
import { oldestSentTime, wasReceivedBefore } from './events/identity.ts';
import { type EventIdentity, identify, leaveOut, parseBatch, type Repeat } from './events/parse.ts';
import type { Rejection } from './events/rejection.ts';
import type { Sealer } from './masking/sealer.ts';
import type { TableMasker } from './masking/table-masker.ts';
import type { WriteReport } from './postgres/write/report.ts';
import type { Writer } from './postgres/write/writer.ts';
import { createStopwatch, type Stopwatch } from './stopwatch.ts';

/** What became of a batch: every record of it is counted once. */
export interface BatchReport {
  readonly received: number;
  readonly stored: number;
  readonly duplicates: number;
  /** Never to be stored as they are: SQS redrives them to the dead-letter queue. */
  readonly rejected: readonly Rejection[];
  /** Not committed; to come again. */
  readonly retried: readonly string[];
  /** The code of the database's failure where that is why nothing was committed. */
  readonly unreachable: string | undefined;
  /**
   * Milliseconds from when the oldest message that is in the table now was sent to when it was committed; undefined where
   * nothing was stored.
   */
  readonly lag: number | undefined;
  readonly milliseconds: StageTimes;
}

/** Milliseconds. The stages overlap: `write` is the time in which nothing else was done. */
export interface StageTimes {
  readonly keyset: number;
  readonly parse: number;
  readonly mask: number;
  readonly write: number;
}

export interface Stages {
  readonly declaration: TableDeclaration;
  /**
   * The masker under the keyset of the moment.
   *
   * @throws KeysetFailure where there is none; then nothing is parsed or written
   */
  readonly masker: () => Promise<TableMasker>;
  /** Where values are sealed. */
  readonly sealer?: Sealer | undefined;
  readonly writer: Writer;
}

/**
 * Records that are parsed, masked and sent at a time: so few that Postgres starts early and always has something to do, so
 * many that the lockstep cipher is worth it.
 */
const FIRST_CHUNK = 128;
const CHUNK = 256;

/** How many records the chunks of a batch have. */
export function chunkSizes(records: number): number[] {
  const sizes: number[] = [];
  for (let left = records, size = FIRST_CHUNK; left > 0; left -= size, size = CHUNK)
    sizes.push(Math.min(left, size));
  return sizes;
}

/** Parses, masks and writes one batch. Parsing and masking run while Postgres takes the rows before. */
export async function ingestBatch(
  { declaration, masker, sealer, writer }: Stages,
  records: readonly SQSRecord[],
  deadline: Deadline,
): Promise<BatchReport> {
  const watch = createStopwatch<keyof StageTimes>();
  const { mask, keys } = await masker();
  watch.lap('keyset');
  const sizes = chunkSizes(records.length);
  let apart = setApart();
  function* rows(stored: readonly EventIdentity[]) {
    // Of the last run: the writer makes all rows anew for an attempt of another kind.
    apart = setApart();
    watch.lap('write');
    const known = new Set(stored.map(keyOf));
    const sealing = sealer?.begin();
    try {
      for (const parsed of parseBatch(declaration, records, sizes)) {
        const chunk = known.size === 0 ? parsed : leaveOut(parsed, (event) => known.has(keyOf(event)));
        watch.lap('parse');
        apart.rejected.push(...parsed.rejected);
        apart.repeats.push(...parsed.repeats);
        apart.known += parsed.events.length - chunk.events.length;
        const masked = mask(chunk, sealing);
        watch.lap('mask');
        yield masked;
        watch.lap('write');
      }
    } finally {
      sealing?.end();
    }
    watch.lap('parse');
  }
  const redelivered = identify(records.filter(wasReceivedBefore));
  watch.lap('parse');
  const written = await writer.write(keys, { redelivered, chunks: sizes.length, rows }, deadline);
  watch.lap('write');
  const settled = settle(records.length, apart, written);
  return { ...settled, lag: lagOf(records, settled), milliseconds: stageTimes(watch) };
}

/** What a batch has that needs no row. */
interface SetApart {
  readonly rejected: Rejection[];
  readonly repeats: Repeat[];
  /** How many redelivered events are in the table. */
  known: number;
}

function setApart(): SetApart {
  return { rejected: [], repeats: [], known: 0 };
}

function keyOf({ date, eventId }: EventIdentity): string {
  return `${date} ${eventId}`;
}

type Outcome = Omit<BatchReport, 'lag' | 'milliseconds'>;

/** Adds the repeats. One whose first message is not stored is no duplicate; it comes again, and may be better. */
function settle(
  received: number,
  { rejected, repeats, known }: SetApart,
  { stored, duplicates, refused, retry, unreachable }: WriteReport,
): Outcome {
  const failed = new Set([...refused.map(({ messageId }) => messageId), ...retry]);
  const again = repeats.filter(({ of }) => failed.has(of)).map(({ messageId }) => messageId);
  const outcome: Outcome = {
    received,
    stored,
    duplicates: duplicates + known + repeats.length - again.length,
    rejected: [...rejected, ...refused],
    retried: [...retry, ...again],
    unreachable,
  };
  const accounted = outcome.stored + outcome.duplicates + outcome.rejected.length + outcome.retried.length;
  // What is not accounted for would be acknowledged and lost.
  if (accounted !== received) throw new Error(`batch of ${received}: ${accounted} accounted for`);
  return outcome;
}

function lagOf(records: readonly SQSRecord[], { stored, rejected, retried }: Outcome): number | undefined {
  if (stored === 0) return undefined;
  const failed = new Set([...rejected.map(({ messageId }) => messageId), ...retried]);
  const oldest = oldestSentTime(records, failed);
  return oldest === undefined ? undefined : Math.max(0, Date.now() - oldest);
}

function stageTimes({ total }: Stopwatch<keyof StageTimes>): StageTimes {
  return { keyset: total('keyset'), parse: total('parse'), mask: total('mask'), write: total('write') };
}
