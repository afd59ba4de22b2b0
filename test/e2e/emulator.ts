import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Emulator } from '../../bin/local/cdk.ts';
import { freePort } from '../../bin/local/postgres.ts';

/** An AWS emulator for the tests, theirs alone or one that is there. */
export interface TestEmulator extends Emulator {
  stop(): Promise<void>;
}

const PROJECT = new URL('../..', import.meta.url).pathname;
const REQUIREMENTS = new URL('requirements.txt', import.meta.url).pathname;
/** Seconds that the emulator may take to come up. */
const PATIENCE = 60;

/**
 * The emulator at AWS_ENDPOINT_URL, else one of our own: from PyPI, in a virtual environment, on the loopback interface.
 *
 * @param own one of our own in any case, because what a deployment leaves would be in the way of another. @default false
 * @throws Error that says what is missing
 */
export async function startEmulator({ own = false } = {}): Promise<TestEmulator> {
  const given = process.env.AWS_ENDPOINT_URL;
  if (given && !own) return { endpointUrl: given, stop: async () => {} };
  const program = join(virtualEnvironment(), 'bin', 'ministack');
  const directory = mkdtempSync(join(tmpdir(), 'vizard-emulator-'));
  const port = await freePort();
  const bin = join(PROJECT, 'node_modules', '.bin');
  const child = spawn(program, [], {
    cwd: directory,
    // A group of its own, because functions run in processes that it starts.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: `${bin}:${process.env.PATH}`,
      HOME: directory,
      TMPDIR: directory,
      S3_DATA_DIR: join(directory, 's3'),
      BIND_HOST: '127.0.0.1',
      GATEWAY_PORT: String(port),
    },
  });
  const closed = once(child, 'close');
  const said = Promise.all([text(child.stdout), text(child.stderr)]);
  const stop = async () => {
    if (child.exitCode === null) process.kill(-child.pid!, 'SIGTERM');
    await Promise.race([closed, sleep(5_000, undefined, { ref: false })]);
    if (child.exitCode === null) process.kill(-child.pid!, 'SIGKILL');
    rmSync(directory, { recursive: true, force: true });
  };
  const endpointUrl = `http://localhost:${port}`;
  for (const end = Date.now() + PATIENCE * 1000; !(await answers(endpointUrl)); ) {
    if (child.exitCode !== null || Date.now() > end) {
      await stop();
      throw new Error(`the emulator did not start: ${(await said).join('').trim().split('\n').at(-1)}`);
    }
    await sleep(100);
  }
  return { endpointUrl, stop };
}

async function answers(endpointUrl: string): Promise<boolean> {
  try {
    return (await fetch(`${endpointUrl}/_ministack/health`)).ok;
  } catch {
    return false;
  }
}

/** Made once for each version of the requirements. @returns its folder */
function virtualEnvironment(): string {
  const requirements = readFileSync(REQUIREMENTS);
  const name = `emulator-${createHash('sha256').update(requirements).digest('hex').slice(0, 12)}`;
  const folder = join(PROJECT, 'node_modules', '.cache', name);
  if (existsSync(join(folder, 'bin', 'ministack'))) return folder;
  run('python3', ['-m', 'venv', folder], 'Python 3.10 or newer with its venv module (Debian: python3-venv)');
  run(
    join(folder, 'bin', 'pip'),
    ['install', '--quiet', '--disable-pip-version-check', '--requirement', REQUIREMENTS],
    'a way to PyPI for the emulator',
  );
  return folder;
}

function run(command: string, args: string[], needed: string): void {
  const { status, error, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (status === 0) return;
  const reason = error?.message ?? stderr.trim().split('\n').at(-1);
  throw new Error(
    `the deploy test needs ${needed}, or AWS_ENDPOINT_URL of an emulator that is there: ${reason}`,
  );
}
