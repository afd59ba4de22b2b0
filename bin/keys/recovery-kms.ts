import type { KMSClient } from '@aws-sdk/client-kms';
import { VizardError } from '../../lambda/errors.ts';
import { checkContentKey } from '../../lambda/masking/sealing.ts';
import { AWS_LIMITS, awsCode, regionOf } from './aws.ts';

/**
 * A recovery key whose private half never leaves AWS KMS: one call for each content key, which stands in CloudTrail.
 *
 * @param arn of an RSA key, or the name of one
 * @returns what decrypts a content key; undefined for one that was not sealed to the key, or was altered
 */
export function kmsKey(arn: string): (sealedKey: Uint8Array) => Promise<Uint8Array | undefined> {
  const region = regionOf(arn);
  let client: KMSClient | undefined;
  return async (sealedKey) => {
    // It takes long to load, and most commands have no use for it.
    const { DecryptCommand, KMSClient } = await import('@aws-sdk/client-kms');
    client ??= new KMSClient({ ...(region && { region }), ...AWS_LIMITS });
    try {
      const { Plaintext } = await client.send(
        new DecryptCommand({
          KeyId: arn,
          CiphertextBlob: sealedKey,
          EncryptionAlgorithm: 'RSAES_OAEP_SHA_256',
        }),
      );
      return Plaintext === undefined ? undefined : checkContentKey(Plaintext);
    } catch (error) {
      const code = awsCode(error);
      if (code === 'InvalidCiphertextException') return undefined;
      throw new VizardError(
        `--recovery-kms-key: expected a key that decrypts, got ${code}; ${ADVICE[code] ?? 'see whether AWS KMS can be reached from here'}`,
      );
    }
  };
}

const ADVICE: Readonly<Record<string, string>> = {
  AccessDeniedException: 'log in as somebody who is allowed kms:Decrypt with it',
  NotFoundException: 'name the ARN of a key that is there',
  InvalidKeyUsageException: 'name an RSA key for encryption and decryption',
  DisabledException: 'have it enabled',
  KMSInvalidStateException: 'see whether it is being deleted',
  no_region: 'name the key by its ARN, or set AWS_REGION',
};
