import type { SQSRecord } from 'aws-lambda';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { eventId, sentTime, utcDate } from '../../lambda/events/identity.ts';
import type { BatchReport } from '../../lambda/ingest.ts';
import { useDatabase } from '../support/database.ts';
import { type FunctionUnderTest, useFunctions } from '../support/function.ts';
import { anyBatch, CANARIES } from './arbitrary-records.ts';
import { tell } from './figures.ts';
import { redelivered } from './planted.ts';

const database = useDatabase();
const createFunction = useFunctions();

/** Records of a run, but for what is delivered again. */
const RECORDS = 100_000;
const LARGEST_BATCH = 2_000;
/** What a replay sets to the number that the run printed. */
const SEED = Number(process.env.FAULTS_SEED ?? Date.now() % 2 ** 31);

const FIELDS = /^(body|user_id|device_type|ip|device_id|locale|app_version|EventId|sent time)$/;
const CODES = /^(json|missing|type|empty|text|too_long|format|range)$/;

/** Messages of a batch that the answer does not name. */
function accepted(batch: readonly SQSRecord[], failed: ReadonlySet<string>): SQSRecord[] {
  return batch.filter(({ messageId }) => !failed.has(messageId));
}

/** What the table has to hold of a message, by the key that makes its event one event. */
function expectedRow(message: SQSRecord): [key: string, row: string] {
  const { user_id, device_type, locale } = JSON.parse(message.body) as Record<string, string | null>;
  const key = `${utcDate(sentTime(message))} ${eventId(message)}`;
  return [key, JSON.stringify([user_id, device_type, locale ?? null])];
}

async function storedRows(): Promise<Map<string, string>> {
  const rows = await database.rows<Record<string, string | null>>(
    `SELECT create_date::text || ' ' || event_id AS key, user_id, device_type, locale FROM user_logins`,
  );
  const stored = new Map(
    rows.map(({ key, user_id, device_type, locale }) => [
      key!,
      JSON.stringify([user_id, device_type, locale]),
    ]),
  );
  expect(stored.size, 'events with one row each').toBe(rows.length);
  return stored;
}

/** The first message of an event is the one that is stored. */
function expectedRows(messages: readonly SQSRecord[]): Map<string, string> {
  return new Map(messages.toReversed().map(expectedRow));
}

function expectAccounted(batch: readonly SQSRecord[], failed: readonly string[], report: BatchReport): void {
  const ids = new Set(batch.map(({ messageId }) => messageId));
  const named = new Set(failed);
  expect([...named].every((id) => ids.has(id)) && named.size === failed.length).toBe(true);
  const { received, stored, duplicates, rejected, retried } = report;
  expect(received).toBe(batch.length);
  expect(stored + duplicates).toBe(accepted(batch, named).length);
  expect(new Set(rejected.map(({ messageId }) => messageId))).toEqual(named);
  expect(retried).toEqual([]);
  expect(rejected.every(({ field, code }) => FIELDS.test(field) && CODES.test(code))).toBe(true);
}

/** One batch, then a part of it as SQS delivers it again. @returns what became of the first */
async function deliver(fn: FunctionUnderTest, batch: readonly SQSRecord[]): Promise<BatchReport> {
  await database.client.query('TRUNCATE user_logins');
  const failed = await fn.invoke(batch);
  const report = fn.reports.at(-1)!;
  expectAccounted(batch, failed, report);
  const rows = expectedRows(accepted(batch, new Set(failed)));
  expect(await storedRows()).toEqual(rows);
  expect(report.stored).toBe(rows.size);

  const again = batch.slice(batch.length / 2);
  const ids = new Set(again.map(({ messageId }) => messageId));
  expect(new Set(await fn.invoke(redelivered(again)))).toEqual(new Set(failed.filter((id) => ids.has(id))));
  expect(fn.reports.at(-1)?.stored).toBe(0);
  expect(await database.count()).toBe(rows.size);

  expect(CANARIES.test(JSON.stringify([failed, fn.log, fn.reports, fn.failures]))).toBe(false);
  fn.log.length = fn.reports.length = 0;
  return report;
}

it('whatever arrives is stored once or named as failed, and read nowhere', async () => {
  tell(`seed ${SEED}; FAULTS_SEED=${SEED} replays this run`);
  const fn = createFunction({ databaseUrl: database.url });
  const start = performance.now();
  const sum = { records: 0, batches: 0, stored: 0, duplicates: 0, rejected: {} as Record<string, number> };
  const property = fc.asyncProperty(anyBatch(LARGEST_BATCH), async (batch) => {
    const { received, stored, duplicates, rejected } = await deliver(fn, batch);
    sum.batches++;
    sum.records += received;
    sum.stored += stored;
    sum.duplicates += duplicates;
    for (const { code } of rejected) sum.rejected[code] = (sum.rejected[code] ?? 0) + 1;
  });

  for (let round = 0; sum.records < RECORDS; round++)
    await fc.assert(property, { seed: SEED + round, numRuns: 20 });

  const codes = Object.entries(sum.rejected).map(([code, count]) => `${code} ${count}`);
  const seconds = Math.round((performance.now() - start) / 1000);
  tell(
    `${sum.records} records in ${sum.batches} batches: ${sum.stored} stored, ${sum.duplicates} duplicates; rejected: ${codes.join(', ')}; ${seconds} s`,
  );
  expect(sum.stored).toBeGreaterThan(RECORDS / 4);
  expect(Object.keys(sum.rejected).toSorted()).toEqual([
    'empty',
    'format',
    'json',
    'missing',
    'range',
    'text',
    'too_long',
    'type',
  ]);
}, 240_000);
