import type { SQSRecord } from 'aws-lambda';
import { afterEach } from 'vitest';
import type { VizardError } from '../../lambda/errors.ts';
import type { Masking, TableDeclaration } from '../../lambda/events/declaration.ts';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { createFunction, type Observer } from '../../lambda/function.ts';
import type { BatchReport } from '../../lambda/ingest.ts';
import { type KeysetSource, parseKeyset } from '../../lambda/masking/keyset.ts';
import type { RecoveryKey } from '../../lambda/masking/sealing.ts';
import type { Login } from '../../lambda/postgres/connection.ts';
import { type LogLine, memoryLog } from './log.ts';
import { KEYSET_JSON } from './records.ts';

export const keyset = parseKeyset(KEYSET_JSON);

/** A function under test, with everything that it says. */
export interface FunctionUnderTest {
  /** One invocation. @returns the ids that it names as failed */
  invoke(records: readonly SQSRecord[], options?: { readonly milliseconds?: number }): Promise<string[]>;
  readonly reports: BatchReport[];
  /** Why invocations as a whole failed. */
  readonly failures: VizardError[];
  readonly log: LogLine[];
}

export type FunctionOptions = {
  readonly declaration?: TableDeclaration;
  readonly masking?: Masking;
  readonly keysetSource?: KeysetSource;
  readonly recoveryKey?: RecoveryKey;
} & (
  | { readonly databaseUrl: string; readonly login?: never }
  | { readonly login: Login; readonly databaseUrl?: never }
);

const opened: (() => Promise<void>)[] = [];

/** Closes what the tests of this file opened. */
export function useFunctions(): (options: FunctionOptions) => FunctionUnderTest {
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((close) => close()));
  });
  return (options) => {
    const { declaration = loginEvents, masking = 'recoverable', recoveryKey } = options;
    const reports: BatchReport[] = [];
    const failures: VizardError[] = [];
    const observer: Observer = {
      batch: (report) => reports.push(report),
      failed: (error) => failures.push(error),
    };
    const { log, lines } = memoryLog();
    const login = options.login ?? { kind: 'url', url: options.databaseUrl };
    const source = options.keysetSource ?? (() => Promise.resolve(keyset));
    const resources = { login, keyset: source, masking, recoveryKey };
    const { handler, close } = createFunction(declaration, resources, log, observer);
    opened.push(close);
    return {
      async invoke(records, { milliseconds = 30_000 } = {}) {
        const end = performance.now() + milliseconds;
        const context = { getRemainingTimeInMillis: () => end - performance.now() };
        const { batchItemFailures } = await handler({ Records: [...records] }, context);
        return batchItemFailures.map(({ itemIdentifier }) => itemIdentifier);
      },
      reports,
      failures,
      log: lines,
    };
  };
}
