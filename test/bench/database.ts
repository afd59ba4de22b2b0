import type { SQSRecord } from 'aws-lambda';
import { Client, type ClientBase } from 'pg';
import { VizardError } from '../../lambda/errors.ts';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { createFunction, type IngestFunction, type Resources } from '../../lambda/function.ts';
import { parseKeyset } from '../../lambda/masking/keyset.ts';
import type { Login } from '../../lambda/postgres/connection.ts';
import { migrate } from '../../lambda/postgres/schema/schema.ts';
import { KEYSET_JSON, type RecordChanges, records } from '../support/records.ts';

export const keyset = parseKeyset(KEYSET_JSON);

/** A function as the handler makes it, and whether it did what is measured. */
export interface Handler {
  /** @throws VizardError where another number of records failed: then the figure would be one of something else */
  invoke(batch: readonly SQSRecord[], failures?: number): Promise<void>;
  close(): Promise<void>;
}

const MILLISECONDS_AN_INVOCATION = 60_000;

/** The function as it is deployed, but for its log, which says nothing. @param changes of what it works with */
export function openFunction(databaseUrl: string, changes: Partial<Resources> = {}): IngestFunction {
  return createFunction(
    loginEvents,
    {
      login: { kind: 'url', url: databaseUrl },
      keyset: () => Promise.resolve(keyset),
      masking: 'recoverable',
      ...changes,
    },
    { info() {}, warn() {}, error() {} },
  );
}

export function openHandler(databaseUrl: string, changes: Partial<Resources> = {}): Handler {
  const { handler, close } = openFunction(databaseUrl, changes);
  const context = { getRemainingTimeInMillis: () => MILLISECONDS_AN_INVOCATION };
  return {
    async invoke(batch, failures = 0) {
      const { batchItemFailures } = await handler({ Records: [...batch] }, context);
      if (batchItemFailures.length !== failures) {
        throw new VizardError(
          `expected ${failures} of ${batch.length} records to fail, got ${batchItemFailures.length}; see what changed in the handler`,
        );
      }
    },
    close,
  };
}

/** Records with ids of their own, sent now; out of JSON, as Lambda has them. */
export function freshBatch(count: number, changes: RecordChanges = {}): SQSRecord[] {
  const fresh = records(count, { sentTimestamp: String(Date.now()), ...changes });
  return JSON.parse(JSON.stringify(fresh)) as SQSRecord[];
}

/** A migrated database of one benchmark. */
export interface BenchDatabase extends Handler {
  readonly url: string;
  readonly login: Login;
  /** Neither the handler's connection nor one that is measured. */
  readonly client: Client;
  /** Leaves no row in the table. */
  empty(): Promise<void>;
}

/** @param before what is there before the migration */
export async function openDatabase(
  url: string,
  before: (client: ClientBase) => Promise<void> = async () => {},
): Promise<BenchDatabase> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await before(client);
    await migrate(client, loginEvents);
  } catch (error) {
    await client.end();
    throw error;
  }
  const { invoke, close } = openHandler(url);
  return {
    url,
    login: { kind: 'url', url },
    client,
    invoke,
    async empty() {
      await client.query(`TRUNCATE ${loginEvents.table}`);
    },
    async close() {
      await close();
      await client.end();
    },
  };
}
