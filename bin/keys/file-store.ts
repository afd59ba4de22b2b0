import {
  closeSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  openSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { VizardError } from '../../lambda/errors.ts';
import { changedMeanwhile, type TextStore } from './text-store.ts';

/** A keyset in a file of its own. */
export function fileStore(file: string): TextStore {
  const name = `keyset file ${file}`;
  return {
    name,
    kind: 'file',
    readText: () => Promise.resolve().then(() => doing(name, 'read', () => readFileSync(file, 'utf8'))),
    async write(text, expected) {
      doing(name, 'written', () => {
        // Where a link stands, what it leads to is replaced.
        const real = realpathSync(file);
        const unlock = lock(real, name);
        try {
          if (readFileSync(real, 'utf8') !== expected) throw changedMeanwhile(name);
          replace(real, text);
        } finally {
          unlock();
        }
      });
    },
    // What was written over is gone; of copies elsewhere we know nothing.
    forgetPrevious: () => Promise.resolve(),
  };
}

/**
 * By a rename, so that whoever reads, and whoever comes after a crash, finds one text or the other, and whoever could read
 * the one can read the other.
 */
function replace(file: string, text: string): void {
  const next = `${file}.next`;
  rmSync(next, { force: true });
  try {
    fill(next, text, statSync(file));
    renameSync(next, file);
  } catch (error) {
    rmSync(next, { force: true });
    throw error;
  }
  const directory = openSync(dirname(file), 'r');
  fsyncSync(directory);
  closeSync(directory);
}

function fill(file: string, text: string, { uid, gid, mode }: Stats): void {
  const handle = openSync(file, 'wx', 0o600);
  try {
    fchownSync(handle, uid, gid);
    fchmodSync(handle, mode & 0o777);
    writeFileSync(handle, text);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/**
 * A symbolic link that leads to the number of our process: it is there with what it says or not at all. What a process that
 * was killed has left holds nobody up.
 *
 * @returns ends it
 */
function lock(file: string, name: string): () => void {
  const link = `${file}.lock`;
  for (let attempt = 1; ; attempt++) {
    try {
      symlinkSync(String(process.pid), link);
      return () => rmSync(link, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      if (attempt === 2 || isAlive(readLock(link))) throw changedMeanwhile(name);
      rmSync(link, { force: true });
    }
  }
}

function readLock(link: string): string {
  try {
    return readlinkSync(link);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error;
    throw new VizardError(
      `${link}: expected the lock of a command that changes the keyset, which is a symbolic link, got something else; nothing was changed, remove it`,
    );
  }
}

/** In a container one that was killed and the next one may have the same number. */
function isAlive(pid: string): boolean {
  if (!/^\d+$/.test(pid) || Number(pid) === process.pid) return false;
  try {
    process.kill(Number(pid), 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function doing<T>(name: string, what: 'read' | 'written', work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof VizardError) throw error;
    const { code = 'unknown' } = error as NodeJS.ErrnoException;
    const advice = ADVICE[code];
    throw new VizardError(`${name} cannot be ${what} (${code})${advice === undefined ? '' : `; ${advice}`}`);
  }
}

const ADVICE: Readonly<Record<string, string>> = {
  ENOENT: 'name one with --keyset or --keyset-secret',
  EPERM: 'nothing was changed; run it as the user whom the file belongs to, who has to be of its group too',
};
