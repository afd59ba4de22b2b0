import { createPrivateKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { VizardError } from '../../lambda/errors.ts';
import { checkRecoveryKey, fingerprintOf, openContentKey } from '../../lambda/masking/sealing.ts';
import { kmsKey } from './recovery-kms.ts';

/** Of private keys in files: commands don't ask for it, because a terminal may not be there. */
export const PASSPHRASE = 'RECOVERY_KEY_PASSPHRASE';

export interface PrivateKeyOptions {
  /** Files, PEM. */
  readonly privateKey?: readonly string[] | undefined;
  /** ARN of a key of AWS KMS. */
  readonly recoveryKmsKey?: string | undefined;
}

/** What became of a content key. */
export type OpenedKey =
  | { readonly kind: 'opened'; readonly key: Uint8Array }
  | { readonly kind: 'other_recipient' | 'altered' };

/** The private halves of recovery keys, wherever they are. */
export interface PrivateKeys {
  /** @param recipient fingerprint of the key that it is sealed to */
  open(recipient: string, sealedKey: Uint8Array): Promise<OpenedKey>;
}

/**
 * The private keys that the options name, which may be none; each is read now.
 *
 * @throws VizardError where one can't be had
 */
export function findPrivateKeys({ privateKey = [], recoveryKmsKey }: PrivateKeyOptions): PrivateKeys {
  const local = new Map(privateKey.map(readPrivateKey).map((key) => [fingerprintOf(key), key]));
  const decrypt = recoveryKmsKey === undefined ? undefined : kmsKey(recoveryKmsKey);
  return {
    async open(recipient, sealedKey) {
      const key = local.get(recipient);
      if (key !== undefined) return opened(openContentKey(key, sealedKey), 'altered');
      return opened(await decrypt?.(sealedKey), 'other_recipient');
    },
  };
}

function opened(key: Uint8Array | undefined, otherwise: 'altered' | 'other_recipient'): OpenedKey {
  return key === undefined ? { kind: otherwise } : { kind: 'opened', key };
}

/** PEM, in PKCS#8 or of OpenSSL's own; encrypted ones with the passphrase of the environment. */
function readPrivateKey(file: string): KeyObject {
  const source = `private key ${file}`;
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new VizardError(`${source} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  const key = parsePrivateKey(text, source);
  checkRecoveryKey(key, source);
  return key;
}

function parsePrivateKey(text: string, source: string): KeyObject {
  const passphrase = process.env[PASSPHRASE];
  if (/ENCRYPTED/.test(text) && !passphrase)
    throw new VizardError(`${source}: expected its passphrase in ${PASSPHRASE}, got nothing; set it`);
  try {
    return createPrivateKey({ key: text, ...(passphrase && { passphrase }) });
  } catch {
    // OpenSSL's message may tell of what it read.
    throw new VizardError(
      `${source}: expected PEM of a private key${passphrase ? ` that the passphrase in ${PASSPHRASE} opens` : ''}, got other text`,
    );
  }
}
