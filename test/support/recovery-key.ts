import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import type { PrivateKeys } from '../../bin/keys/private-keys.ts';
import {
  fingerprintOf,
  openContentKey,
  parseRecoveryKey,
  type RecoveryKey,
} from '../../lambda/masking/sealing.ts';

/** Both halves of a recovery key. */
export interface KeyPair {
  readonly publicPem: string;
  readonly privateKey: KeyObject;
  readonly recoveryKey: RecoveryKey;
  /** As commands have it who were given the private half. */
  readonly privateKeys: PrivateKeys;
}

export function createKeyPair(): KeyPair {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 3072 });
  const publicPem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
  const fingerprint = fingerprintOf(publicKey);
  return {
    publicPem,
    privateKey,
    recoveryKey: parseRecoveryKey(publicPem, 'test'),
    privateKeys: {
      open: async (recipient, sealedKey) => {
        const key = recipient === fingerprint ? openContentKey(privateKey, sealedKey) : undefined;
        return key === undefined ? { kind: 'other_recipient' } : { kind: 'opened', key };
      },
    },
  };
}
