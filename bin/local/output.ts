import { fstatSync, readSync, statSync } from 'node:fs';
import { VizardError } from '../../lambda/errors.ts';

const NULL_DEVICE = '/dev/null';

/**
 * Refuses to work for nobody. Where standard output was closed (`>&-`), Node puts the null device in its place, open for
 * reading too, which a shell's `> /dev/null` is not.
 *
 * @throws VizardError where what is to be shown would be lost
 */
export function requireOutput(): void {
  if (isClosed(process.stdout.fd))
    throw new VizardError('standard output is closed: nothing would be shown; open it, or send it to a file');
}

function isClosed(fd: number): boolean {
  try {
    return fstatSync(fd).rdev === statSync(NULL_DEVICE).rdev && readSync(fd, new Uint8Array(1)) === 0;
  } catch {
    return false;
  }
}
