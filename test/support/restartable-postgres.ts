import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startPostgres } from '../../bin/local/postgres.ts';

/** A durable PostgreSQL server of a test's own, which a test can kill and start again. */
export interface RestartablePostgres {
  /** Of the server that runs now; the port changes with a restart. */
  readonly url: string;
  /** Kills the postmaster with SIGKILL. Resolves when every process of the server has gone. */
  crash(): Promise<void>;
  /** Stops the server in its "fast" way where it runs, and starts one on its data, which it recovers after a crash. */
  restart(): Promise<void>;
  /** Stops the server, and removes its data. */
  stop(): Promise<void>;
}

export async function startRestartablePostgres(): Promise<RestartablePostgres> {
  const directory = mkdtempSync(join(tmpdir(), 'vizard-test-'));
  let server = await startPostgres({ directory });
  return {
    get url() {
      return server.url;
    },
    async crash() {
      const [postmaster = ''] = readFileSync(join(directory, 'postgres/data/postmaster.pid'), 'utf8').split(
        '\n',
      );
      const pids = new Set([Number(postmaster), ...childrenOf(Number(postmaster))]);
      process.kill(Number(postmaster), 'SIGKILL');
      while (processes().some(({ pid }) => pids.has(pid))) await sleep(10);
      // What kept it must be over before the next server starts, or it would stop that one.
      await server.stop();
    },
    async restart() {
      await server.stop();
      server = await startPostgres({ directory });
    },
    async stop() {
      await server.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

interface Process {
  readonly pid: number;
  readonly parent: number;
}

/** All processes of the machine but those that have ended and that nobody has asked how. */
function processes(): Process[] {
  const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,stat='], { encoding: 'utf8' }).trim().split('\n');
  return lines.flatMap((line) => {
    const [pid, parent, state = ''] = line.trim().split(/\s+/);
    return state.startsWith('Z') ? [] : [{ pid: Number(pid), parent: Number(parent) }];
  });
}

function childrenOf(postmaster: number): number[] {
  return processes().flatMap(({ pid, parent }) => (parent === postmaster ? [pid] : []));
}
