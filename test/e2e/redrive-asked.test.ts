import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { useCli } from '../support/cli.ts';
import { at, bodies } from '../support/dead-letters.ts';
import { type TestQueue, useQueues } from '../support/queue.ts';

const createCli = useCli();
const createQueue = useQueues();

const CLI = new URL('../../bin/vizard.ts', import.meta.url).pathname;
/** Runs a command on a pseudo-terminal, which Node has none of; the deployment to an emulator needs Python as well. */
const ON_TERMINAL = 'import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))';

/** `vizard dead-letters redrive --json` on a terminal, where the question is answered with these keys. */
async function redriveAsked(queue: TestQueue, keys: string) {
  const output = join(createCli().directory, 'output.json');
  const vizard = [process.execPath, CLI, 'dead-letters', 'redrive', '--json', ...at(queue)];
  const child = spawn('python3', ['-c', ON_TERMINAL, 'sh', '-c', `exec "$@" > ${output}`, 'sh', ...vizard]);
  let shown = '';
  child.stdout.on('data', (chunk: Buffer) => {
    const asked = shown.includes('[y/N]');
    shown += chunk.toString();
    if (!asked && shown.includes('[y/N]')) child.stdin.write(keys);
  });
  const exitCode = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { exitCode, shown, json: JSON.parse(readFileSync(output, 'utf8').trim()) as unknown };
}

describe('vizard dead-letters redrive that asks', () => {
  it.each([
    ['no', 'n\r', 1],
    ['nothing', '\r', 1],
    ['the end of input', '\u0004', 1],
    ['Ctrl-C', '\u0003', 130],
  ])(
    'changes nothing where the answer is %s, and says what it would have done',
    async (_name, keys, code) => {
      const queue = await createQueue();
      await queue.deadLetters?.send(bodies(3));

      const { exitCode, shown, json } = await redriveAsked(queue, keys);

      expect(exitCode).toBe(code);
      expect(shown).toContain('Send 3 dead letters back to');
      expect(shown).toContain('nothing was changed');
      expect(json).toMatchObject({ dryRun: true, redriven: 3 });
      expect(await queue.state()).toMatchObject({ visible: 0 });
      expect(await queue.deadLetters?.state()).toMatchObject({ visible: 3, inFlight: 0 });
    },
  );

  it('sends them back where the answer is yes', async () => {
    const queue = await createQueue();
    await queue.deadLetters?.send(bodies(3));

    const { exitCode, json } = await redriveAsked(queue, 'y\r');

    expect(exitCode).toBe(0);
    expect(json).toMatchObject({ dryRun: false, redriven: 3 });
    expect(await queue.state()).toMatchObject({ visible: 3 });
  });
});
