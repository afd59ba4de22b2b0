import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach } from 'vitest';
import { loginEvent } from './records.ts';

const CLI = new URL('../../bin/vizard.ts', import.meta.url).pathname;

export interface CliResult {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Standard output, which has to be one JSON value and nothing else. */
  json(): unknown;
}

export interface RunningCli {
  readonly child: ChildProcess;
  readonly result: Promise<CliResult>;
  /** Resolves when standard error has shown the text. */
  shows(text: string): Promise<void>;
}

export interface CliOptions {
  /** For standard input. */
  readonly input?: string | Uint8Array;
  readonly env?: Readonly<Record<string, string>>;
}

export interface Cli {
  /** A folder of this test's own: the working directory of its commands. */
  readonly directory: string;
  start(args: readonly string[], options?: CliOptions): RunningCli;
  run(args: readonly string[], options?: CliOptions): Promise<CliResult>;
}

/** The command line in a working directory of its own, gone after the test. */
export function useCli(): () => Cli {
  const directories: string[] = [];
  const children: ChildProcess[] = [];
  afterEach(() => {
    // Only what a failed test has left running; its keeper then ends the database.
    for (const child of children.splice(0)) if (child.exitCode === null) child.kill('SIGKILL');
    for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
  });
  return () => {
    const directory = mkdtempSync(join(tmpdir(), 'vizard-test-'));
    // As root, PostgreSQL runs as another user, which has to get through to its data.
    chmodSync(directory, 0o755);
    directories.push(directory);
    const start = (args: readonly string[], options: CliOptions = {}) => {
      const running = startCli(directory, args, options);
      children.push(running.child);
      return running;
    };
    return { directory, start, run: (args, options) => start(args, options).result };
  };
}

function startCli(cwd: string, args: readonly string[], { input = '', env = {} }: CliOptions): RunningCli {
  const child = spawn(process.execPath, [CLI, ...args], { cwd, env: { PATH: process.env.PATH, ...env } });
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  let shown = '';
  const waiting: { text: string; resolve: () => void }[] = [];
  child.stderr.on('data', (chunk: Buffer) => {
    shown += chunk.toString();
    for (const { text, resolve } of waiting) if (shown.includes(text)) resolve();
  });
  const closed = new Promise<number | null>((resolve) => child.on('close', resolve));
  const result = Promise.all([text(child.stdout), closed]).then(([stdout, exitCode]) => ({
    exitCode,
    stdout,
    stderr: shown,
    json: () => JSON.parse(stdout) as unknown,
  }));
  return {
    child,
    result,
    shows: (wanted) =>
      new Promise((resolve, reject) => {
        if (shown.includes(wanted)) resolve();
        waiting.push({ text: wanted, resolve });
        child.on('close', () => reject(new Error(`ended without showing "${wanted}"`)));
      }),
  };
}

/** A file of good events and, in its second line, one message of another shape. */
export function inputFile({ directory }: Cli, count: number): string {
  const file = join(directory, 'input.jsonl');
  const lines = Array.from({ length: count }, (_, i) => JSON.stringify(loginEvent({ device_id: `d${i}` })));
  lines[1] = '{"foo": "oops"}';
  writeFileSync(file, lines.join('\n'));
  return file;
}
