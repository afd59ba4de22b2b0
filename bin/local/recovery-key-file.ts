import { readFileSync } from 'node:fs';
import { VizardError } from '../../lambda/errors.ts';
import type { Masking } from '../../lambda/events/declaration.ts';
import { parseRecoveryKey, type RecoveryKey } from '../../lambda/masking/sealing.ts';

/**
 * The public key that a run seals to.
 *
 * @returns undefined where none is named
 * @throws VizardError where it can't be used, or tokens could be recovered without the private one
 */
export function readRecoveryKey({
  recoveryKey: file,
  masking,
}: {
  readonly recoveryKey?: string | undefined;
  readonly masking: Masking;
}): RecoveryKey | undefined {
  if (file === undefined) return undefined;
  if (masking !== 'irreversible')
    throw new VizardError(
      `--masking: expected irreversible because --recovery-key is given, got ${masking}; leave it out`,
    );
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new VizardError(`recovery key ${file} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  return parseRecoveryKey(text, `recovery key ${file}`);
}
