import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import type { SQSRecord } from 'aws-lambda';

/** What a process with a real entry point said and answered. */
export interface LambdaRun {
  readonly exitCode: number | null;
  /** Everything written to standard output and standard error. */
  readonly output: string;
  /** The objects among the lines of standard output, in their order: answers, log lines, metrics. */
  readonly lines: readonly Readonly<Record<string, unknown>>[];
}

/** The files of lambda/ that Lambda starts. */
export type EntryPoint = 'handler' | 'migrate' | 'find-database';

/**
 * Runs an entry point in a process of its own, as Lambda does: environment in, events one after the other, and what is
 * thrown written out with its message and stack.
 *
 * @param milliseconds that each invocation has
 */
export async function runEntryPoint(
  name: EntryPoint,
  env: Record<string, string>,
  events: readonly unknown[],
  milliseconds = 10_000,
): Promise<LambdaRun> {
  const runtime = new URL('lambda-runtime.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [runtime, name, String(milliseconds)], {
    env: { PATH: process.env.PATH, ...env },
  });
  child.stdin.on('error', () => {});
  child.stdin.end(JSON.stringify(events));
  const [stdout, stderr, exitCode] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    new Promise<number | null>((resolve) => child.on('close', resolve)),
  ]);
  const lines = stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>);
  return { exitCode, output: stdout + stderr, lines };
}

/** Runs lambda/handler.ts with one event for each batch. */
export function runLambda(
  env: Record<string, string>,
  batches: readonly (readonly SQSRecord[])[],
): Promise<LambdaRun> {
  return runEntryPoint(
    'handler',
    env,
    batches.map((Records) => ({ Records })),
  );
}
