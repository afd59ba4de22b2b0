import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import type { Instance } from '../../bin/local/instance.ts';
import { inputFile, useCli } from '../support/cli.ts';

const createCli = useCli();

function instanceOf(directory: string): Instance {
  return JSON.parse(readFileSync(join(directory, 'instance.json'), 'utf8')) as Instance;
}

/** Resolves when nothing listens at the URL's port any more. */
async function waitUntilGone(url: string): Promise<void> {
  const port = Number(new URL(url).port);
  await vi.waitFor(
    async () => {
      const socket = connect(port, '127.0.0.1');
      const open = await once(socket, 'connect').then(
        () => true,
        () => false,
      );
      socket.destroy();
      if (open) throw new Error(`port ${port} is still open`);
    },
    { timeout: 10_000, interval: 50 },
  );
}

describe('vizard run that is ended', () => {
  it('stops on SIGTERM, answers, and leaves nothing running', async () => {
    const cli = createCli();
    const running = cli.start(['run', '--follow', '--json']);
    await running.shows('ingested 153/153');
    const instance = instanceOf(join(cli.directory, '.vizard'));

    const sent = await cli.run(['send', inputFile(cli, 10), '--json']);
    await vi.waitFor(async () => {
      const { json } = await cli.run(['show', '--json']);
      expect(json()).toMatchObject({ total: 148 });
    }, 20_000);
    running.child.kill('SIGTERM');
    const { exitCode, json } = await running.result;

    expect(sent.json()).toEqual({ sent: 10, refused: [] });
    expect(exitCode).toBe(0);
    expect(json()).toMatchObject({ received: 163, stored: 148, rejected: 15 });
    await waitUntilGone(instance.databaseUrl);
    await waitUntilGone(instance.queue.queueUrl);
  });

  it('loses nothing when it is interrupted: the next run has the rest', async () => {
    const cli = createCli();
    const dataDir = join(cli.directory, 'data');
    const input = inputFile(cli, 300);
    const running = cli.start([
      'run',
      '--batch-size',
      '1',
      '--json',
      '--data-dir',
      dataDir,
      '--input',
      input,
    ]);
    await running.shows('sent 300/300');
    running.child.kill('SIGINT');
    const interrupted = await running.result;

    const rest = await cli.run(['run', '--json', '--input', '/dev/null', '--data-dir', dataDir]);

    expect(interrupted.exitCode).toBe(130);
    const { stored } = interrupted.json() as { stored: number };
    expect(stored).toBeLessThan(299);
    expect(rest.json()).toMatchObject({ stored: 299 - stored });
  });

  it('starts where one was killed whose process number another has got', async () => {
    const cli = createCli();
    const dataDir = join(cli.directory, 'data');
    mkdirSync(dataDir);
    const gone = { queueUrl: 'http://127.0.0.1:1/0/q' };
    const instance: Instance = { pid: process.pid, queue: gone, databaseUrl: 'postgres://127.0.0.1:1/x' };
    writeFileSync(join(dataDir, 'instance.json'), JSON.stringify(instance));

    const { json } = await cli.run(['run', '--json', '--data-dir', dataDir, '--input', inputFile(cli, 3)]);

    expect(json()).toMatchObject({ received: 3, stored: 2 });
  });

  it('leaves no database behind even when it is killed', async () => {
    const cli = createCli();
    const running = cli.start(['run', '--follow']);
    await running.shows('ingested 153/153');
    const { databaseUrl } = instanceOf(join(cli.directory, '.vizard'));

    running.child.kill('SIGKILL');
    await running.result;

    await waitUntilGone(databaseUrl);
  });

  it('leaves none behind when it is killed before the database is up', async () => {
    const cli = createCli();
    const TMPDIR = join(cli.directory, 'tmp');
    mkdirSync(TMPDIR);
    // As root, PostgreSQL runs as another user, which removes its data itself.
    chmodSync(TMPDIR, 0o1777);
    const running = cli.start(['run'], { env: { TMPDIR } });
    const databases = () => readdirSync(TMPDIR).filter((name) => name.startsWith('vizard-'));
    // Written by initdb; starting the server comes next.
    const made = () => databases().some((name) => existsSync(join(TMPDIR, name, 'postgres/data/PG_VERSION')));
    await vi.waitFor(() => expect(made()).toBe(true), { timeout: 20_000, interval: 5 });

    running.child.kill('SIGKILL');
    await running.result;

    await vi.waitFor(() => expect(databases()).toEqual([]), { timeout: 20_000, interval: 50 });
  });
});
