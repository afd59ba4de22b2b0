import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { type Cli, inputFile, useCli } from '../support/cli.ts';

const createCli = useCli();
const CLI = join(import.meta.dirname, '../../bin/vizard.ts');

/** Runs a command whose output nobody reads. @returns its exit code */
async function runUnread({ directory }: Cli, args: readonly string[]): Promise<number> {
  const env = { PATH: process.env.PATH };
  const child = spawn(process.execPath, [CLI, ...args], {
    cwd: directory,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.stdout.destroy();
  child.stderr.destroy();
  const [exitCode] = (await once(child, 'exit')) as [number];
  return exitCode;
}

it('a command that nobody listens to does all of its work, and leaves nothing held', async () => {
  const cli = createCli();
  const dataDir = join(cli.directory, 'data');
  const input = inputFile(cli, 300);

  expect(await runUnread(cli, ['run', '--json', '--input', input, '--data-dir', dataDir])).toBe(0);
  expect(await runUnread(cli, ['dead-letters', 'list', '--data-dir', dataDir])).toBe(0);

  const shown = await cli.run(['show', '--json', '--data-dir', dataDir]);
  const list = await cli.run(['dead-letters', 'list', '--json', '--data-dir', dataDir]);
  expect(shown.json()).toMatchObject({ total: 299 });
  expect(list.json()).toMatchObject({ count: 1 });
});
