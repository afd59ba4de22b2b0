import type { SQSRecord } from 'aws-lambda';
import { afterEach } from 'vitest';
import type { Masking, TableDeclaration } from '../../lambda/events/declaration.ts';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { createFunction } from '../../lambda/function.ts';
import type { BatchReport } from '../../lambda/ingest.ts';
import type { Log, LogFields } from '../../lambda/log.ts';
import { parseKeyset } from '../../lambda/masking/keyset.ts';
import { KEYSET_JSON } from './records.ts';

export const keyset = parseKeyset(KEYSET_JSON);

export interface LogLine extends LogFields {
  readonly level: 'info' | 'warn' | 'error';
  readonly message: string;
}

/** A function under test, with everything that it says. */
export interface FunctionUnderTest {
  /** One invocation. @returns the ids that it names as failed */
  invoke(records: readonly SQSRecord[], options?: { readonly milliseconds?: number }): Promise<string[]>;
  readonly reports: BatchReport[];
  readonly log: LogLine[];
}

export interface FunctionOptions {
  readonly databaseUrl: string;
  readonly declaration?: TableDeclaration;
  readonly masking?: Masking;
}

const opened: (() => Promise<void>)[] = [];

/** Closes what the tests of this file opened. */
export function useFunctions(): (options: FunctionOptions) => FunctionUnderTest {
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((close) => close()));
  });
  return ({ databaseUrl, declaration = loginEvents, masking = 'recoverable' }) => {
    const reports: BatchReport[] = [];
    const lines: LogLine[] = [];
    const { handler, close } = createFunction(
      declaration,
      { databaseUrl, keyset, masking },
      memoryLog(lines),
      (report) => reports.push(report),
    );
    opened.push(close);
    return {
      async invoke(records, { milliseconds = 30_000 } = {}) {
        const end = performance.now() + milliseconds;
        const context = { getRemainingTimeInMillis: () => end - performance.now() };
        const { batchItemFailures } = await handler({ Records: [...records] }, context);
        return batchItemFailures.map(({ itemIdentifier }) => itemIdentifier);
      },
      reports,
      log: lines,
    };
  };
}

function memoryLog(lines: LogLine[]): Log {
  const level = (level: LogLine['level']) => (message: string, fields: LogFields) => {
    lines.push({ level, message, ...fields });
  };
  return { info: level('info'), warn: level('warn'), error: level('error') };
}
