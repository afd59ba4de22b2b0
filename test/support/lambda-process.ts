import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import type { SQSRecord } from 'aws-lambda';

/** An object that the process wrote as a line: an answer, a log line, metrics. */
export type Line = Readonly<Record<string, unknown>>;

/** What a process with a real entry point said and answered. */
export interface LambdaRun {
  readonly exitCode: number | null;
  /** Everything written to standard output and standard error. */
  readonly output: string;
  /** The objects among the lines of standard output, in their order. */
  readonly lines: readonly Line[];
  /** Most bytes that were ever resident; NaN where the process did not come to its end. */
  readonly peakMemory: number;
}

/** An environment of Lambda: one process, one invocation at a time. */
export interface LambdaProcess {
  readonly pid: number;
  /** Sends a signal, to a process that has ended none. */
  signal(name: NodeJS.Signals): void;
  /**
   * @param milliseconds that this invocation has, where it is not what all have
   * @returns the line with the response, or with the error; undefined where the process ended instead
   */
  invoke(event: unknown, milliseconds?: number): Promise<Line | undefined>;
  end(): Promise<LambdaRun>;
}

/** The files of lambda/ that Lambda starts, or a file of a test's own that exports a handler as they do. */
export type EntryPoint =
  | 'handler'
  | 'probe'
  | 'breaker'
  | 'migrate'
  | 'retention'
  | 'find-database'
  | 'public-key'
  | URL;

/**
 * Starts an entry point in a process of its own, as Lambda does: environment in, and what is thrown written out with its
 * message and stack.
 *
 * @param milliseconds that each invocation has
 */
export function startEntryPoint(
  entryPoint: EntryPoint,
  env: Record<string, string>,
  milliseconds: number,
): LambdaProcess {
  const runtime = new URL('lambda-runtime.ts', import.meta.url).pathname;
  const entry =
    entryPoint instanceof URL ? entryPoint : new URL(`../../lambda/${entryPoint}.ts`, import.meta.url);
  const child = spawn(process.execPath, [runtime, entry.href], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
  });
  child.stdin.on('error', () => {});
  const lines: Line[] = [];
  let written = '';
  let answered = (_answer: Line) => {};
  const stdout = createInterface({ input: child.stdout }).on('line', (line) => {
    written += `${line}\n`;
    if (!line.startsWith('{')) return;
    const object = JSON.parse(line) as Line;
    lines.push(object);
    if ('response' in object || 'errorType' in object) answered(object);
  });
  const ended = Promise.all([
    new Promise<number | null>((resolve) => child.on('close', resolve)),
    once(stdout, 'close'),
    text(child.stderr),
    text(child.stdio[3] as Readable),
  ]);
  return {
    pid: child.pid!,
    signal(name) {
      child.kill(name);
    },
    invoke(event, time = milliseconds) {
      const answer = new Promise<Line>((resolve) => {
        answered = resolve;
      });
      child.stdin.write(`${JSON.stringify({ event, milliseconds: time })}\n`);
      return Promise.race([answer, ended.then(() => undefined)]);
    },
    async end() {
      child.stdin.end();
      const [exitCode, , complaints, memory] = await ended;
      return { exitCode, output: written + complaints, lines, peakMemory: Number(memory || Number.NaN) };
    },
  };
}

/** Runs an entry point with one event after the other. */
export async function runEntryPoint(
  entryPoint: EntryPoint,
  env: Record<string, string>,
  events: readonly unknown[],
  milliseconds = 10_000,
): Promise<LambdaRun> {
  const { invoke, end } = startEntryPoint(entryPoint, env, milliseconds);
  for (const event of events) await invoke(event);
  return end();
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
