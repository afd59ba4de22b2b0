import { execFileSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import type { Instance } from '../../bin/local/instance.ts';
import { type Cli, type CliResult, useCli } from '../support/cli.ts';
import { useDatabase } from '../support/database.ts';
import { at, body } from '../support/dead-letters.ts';
import { useQueues } from '../support/queue.ts';
import { KEYSET_JSON } from '../support/records.ts';

const createCli = useCli();
const createQueue = useQueues();
const database = useDatabase();

const CLI = new URL('../../bin/vizard.ts', import.meta.url).pathname;
const env = { MASKING_KEYSET: KEYSET_JSON };
const REJECTED = '{}\n';

function linesFile({ directory }: Cli, name: string, text: string): string {
  const file = join(directory, name);
  writeFileSync(file, text);
  return file;
}

/** A directory in which a run has kept a queue with three dead letters, and nothing else: its database is elsewhere. */
async function keepDeadLetters(cli: Cli): Promise<string> {
  const dataDir = join(cli.directory, 'data');
  const input = linesFile(cli, 'rejected.jsonl', REJECTED.repeat(3));
  await cli.run(runOn(dataDir, input), { env });
  return dataDir;
}

function runOn(dataDir: string, input: string): string[] {
  const options = ['--max-receive-count', '1', '--database-url', database.url];
  return ['run', '--json', '--data-dir', dataDir, '--input', input, ...options];
}

function list(cli: Cli, dataDir: string): Promise<CliResult> {
  return cli.run(['dead-letters', 'list', '--json', '--data-dir', dataDir]);
}

/** A command that has the kept queue open until its input is closed. */
async function holdQueue(cli: Cli, dataDir: string) {
  const fifo = join(cli.directory, 'fifo');
  execFileSync('mkfifo', [fifo]);
  const input = openSync(fifo, 'r+');
  const { child, result } = cli.start(['send', fifo, '--json', '--data-dir', dataDir]);
  // SQLite has this file as long as somebody has the database open.
  await vi.waitFor(() => expect(existsSync(join(dataDir, 'queue', 'fauxqs.db-wal'))).toBe(true), {
    timeout: 20_000,
    interval: 10,
  });
  return {
    child,
    result,
    finish(text: string) {
      writeSync(input, text);
      closeSync(input);
      return result;
    },
    release: () => closeSync(input),
  };
}

describe('a kept queue', () => {
  it('is open to one command at a time: another is refused in one line, and nothing is lost', async () => {
    const cli = createCli();
    const dataDir = await keepDeadLetters(cli);
    const more = linesFile(cli, 'more.jsonl', `${body()}\n${REJECTED.repeat(20)}`);
    const holder = await holdQueue(cli, dataDir);

    const refused = await Promise.all([
      list(cli, dataDir),
      cli.run(['send', more, '--data-dir', dataDir]),
      cli.run(runOn(dataDir, more), { env }),
    ]);
    const held = await holder.finish(REJECTED.repeat(2));
    const ran = await cli.run(runOn(dataDir, more), { env });
    const listed = await list(cli, dataDir);

    for (const { exitCode, stdout, stderr } of refused) {
      expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
      expect(stderr).toBe(
        `vizard: ${dataDir}/queue is in use by another command; wait until that has ended, or stop it\n`,
      );
    }
    expect(held.json()).toEqual({ sent: 2, refused: [] });
    expect(ran.json()).toMatchObject({ received: 23, stored: 1, deadLettered: 22 });
    expect(listed.json()).toMatchObject({ count: 25 });
  });

  it('is free again when the command that had it open was killed', async () => {
    const cli = createCli();
    const dataDir = await keepDeadLetters(cli);
    const holder = await holdQueue(cli, dataDir);

    holder.child.kill('SIGKILL');
    await holder.result;
    holder.release();

    expect((await list(cli, dataDir)).json()).toMatchObject({ count: 3 });
  });

  it('is missed in one line, and not made, where a run has kept only a database', async () => {
    const cli = createCli();
    const queue = await createQueue();
    const dataDir = join(cli.directory, 'data');
    await cli.run(['run', '--data-dir', dataDir, ...at(queue)], { env });

    const { exitCode, stderr } = await list(cli, dataDir);
    const shown = await cli.run(['show', '--json', '--data-dir', dataDir]);

    expect(exitCode).toBe(2);
    expect(stderr).toMatch(/^vizard: no queue is kept in .*\n$/);
    expect(existsSync(join(dataDir, 'queue'))).toBe(false);
    expect(shown.json()).toMatchObject({ total: 0 });
  });
});

describe('a running instance', () => {
  it('is not taken for one that was killed and whose process number is now our own', () => {
    const cli = createCli();
    const dataDir = join(cli.directory, 'data');
    mkdirSync(dataDir);
    const gone = { queueUrl: 'http://127.0.0.1:1/0/q' };
    const instance = JSON.stringify({ pid: 0, queue: gone, databaseUrl: database.url });
    // The shell's number is the command's, which takes its place.
    const script = `printf %s "$0" | sed "s/:0,/:$$,/" >"$1/instance.json"; shift; exec "$@"`;
    const command = [process.execPath, CLI, ...runOn(dataDir, '/dev/null')];

    const stdout = execFileSync('sh', ['-c', script, instance, dataDir, ...command], {
      encoding: 'utf8',
      env: { ...process.env, ...env },
      stdio: 'pipe',
    });

    expect(JSON.parse(stdout)).toMatchObject({ received: 0 });
  });

  it('shows its queue, and takes messages, when its database has gone', async () => {
    const cli = createCli();
    const dataDir = join(cli.directory, 'data');
    const input = linesFile(cli, 'input.jsonl', `${body()}\n${REJECTED}`);
    const once = ['--max-receive-count', '1'];
    const running = cli.start(['run', '--follow', '--data-dir', dataDir, '--input', input, ...once]);
    await running.shows('ingested 2/2');
    const { queue } = JSON.parse(readFileSync(join(dataDir, 'instance.json'), 'utf8')) as Instance;
    const [postmaster] = readFileSync(join(dataDir, 'postgres/data/postmaster.pid'), 'utf8').split('\n');
    process.kill(Number(postmaster), 'SIGKILL');

    const listed = await cli.run(['dead-letters', 'list', '--data-dir', dataDir]);
    const sent = await cli.run(['send', input, '--data-dir', dataDir]);
    const second = await cli.run(['run', '--data-dir', dataDir]);

    expect(listed.stdout).toContain(`1 dead letters of ${queue.queueUrl}`);
    expect(sent.stdout).toBe(`sent 2 messages to ${queue.queueUrl}\n`);
    expect(second).toMatchObject({
      exitCode: 2,
      stderr: `vizard: ${dataDir} is in use by process ${running.child.pid}; stop it first\n`,
    });
  });

  it('shows its table when its queue has gone', async () => {
    const cli = createCli();
    const dataDir = join(cli.directory, 'data');
    mkdirSync(dataDir);
    const gone = { queueUrl: 'http://127.0.0.1:1/0/q' };
    const instance: Instance = { pid: process.pid, queue: gone, databaseUrl: database.url };
    writeFileSync(join(dataDir, 'instance.json'), JSON.stringify(instance));

    const { json } = await cli.run(['show', '--json', '--data-dir', dataDir]);

    expect(json()).toMatchObject({ total: 0 });
  });
});
