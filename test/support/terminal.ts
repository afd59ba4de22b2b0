import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach } from 'vitest';

const CLI = new URL('../../bin/vizard.ts', import.meta.url).pathname;

export interface Asked {
  readonly exitCode: number;
  /** Standard output and standard error, as a person sees them. */
  readonly shown: string;
}

/** The command line on a terminal of its own, which `script` makes. @returns runs a command, and answers when it asks */
export function useTerminal(): (
  args: readonly string[],
  answer: string | (() => Promise<string>),
  env: Readonly<Record<string, string>>,
) => Promise<Asked> {
  const children: ChildProcess[] = [];
  afterEach(() => {
    for (const child of children.splice(0)) if (child.exitCode === null) child.kill('SIGKILL');
  });
  return async (args, answer, env) => {
    const command = [process.execPath, CLI, ...args];
    const quoted = command.map((word) => `'${word}'`).join(' ');
    const options =
      process.platform === 'darwin' ? ['-q', '/dev/null', ...command] : ['-qec', quoted, '/dev/null'];
    const child = spawn('script', options, { env: { PATH: process.env.PATH, SHELL: '/bin/sh', ...env } });
    children.push(child);
    let shown = '';
    let answered = false;
    child.stdout.on('data', (chunk: Buffer) => {
      shown += chunk.toString();
      if (answered || !shown.includes('[y/N]')) return;
      answered = true;
      void Promise.resolve(typeof answer === 'string' ? answer : answer()).then((text) =>
        child.stdin.write(text),
      );
    });
    const [exitCode] = (await once(child, 'close')) as [number];
    return { exitCode, shown };
  };
}
