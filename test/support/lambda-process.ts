import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import type { SQSRecord } from 'aws-lambda';

/** What a process with the real entry point said and answered. */
export interface LambdaRun {
  readonly exitCode: number | null;
  /** Everything written to standard output and standard error. */
  readonly output: string;
}

/**
 * Runs lambda/handler.ts in a process of its own, as Lambda does: environment in, events one after the other, and
 * what is thrown written out with its message and stack.
 */
export async function runLambda(
  env: Record<string, string>,
  batches: readonly (readonly SQSRecord[])[],
): Promise<LambdaRun> {
  const entry = new URL('lambda-runtime.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [entry], { env: { PATH: process.env.PATH, ...env } });
  child.stdin.on('error', () => {});
  child.stdin.end(JSON.stringify(batches));
  const [stdout, stderr, exitCode] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    new Promise<number | null>((resolve) => child.on('close', resolve)),
  ]);
  return { exitCode, output: stdout + stderr };
}
