import { GetPublicKeyCommand, type GetPublicKeyCommandOutput, KMSClient } from '@aws-sdk/client-kms';
import { AwsFailure, VizardError } from '../errors.ts';
import { awsErrorCode, CLIENT_SETTINGS } from './sdk.ts';

/** How content keys are sealed: RSAES-OAEP with SHA-256, RFC 8017 section 7.1. */
const ALGORITHM = 'RSAES_OAEP_SHA_256';

/**
 * The public half of a key of KMS.
 *
 * @param keyId its ARN or id
 * @returns base64 of its DER SubjectPublicKeyInfo
 * @throws AwsFailure where KMS doesn't answer, VizardError where the key is not one that can be sealed to
 */
export async function fetchPublicKey(keyId: unknown, region: string): Promise<string> {
  if (typeof keyId !== 'string' || keyId === '') {
    throw new VizardError(`KeyId: expected the ARN of a key of KMS, got ${typeof keyId}; set it`);
  }
  const client = new KMSClient({ region, ...CLIENT_SETTINGS });
  try {
    return publicKeyOf(await client.send(new GetPublicKeyCommand({ KeyId: keyId })));
  } catch (error) {
    if (error instanceof VizardError) throw error;
    const code = awsErrorCode(error);
    throw new AwsFailure(`KeyId: expected a key that KMS gives out, got ${code}; ${adviceFor(code)}`, code);
  } finally {
    client.destroy();
  }
}

function publicKeyOf(answer: GetPublicKeyCommandOutput): string {
  const { PublicKey, KeySpec = 'none', KeyUsage = 'nothing', EncryptionAlgorithms } = answer;
  const isLongEnough = KeySpec === 'RSA_3072' || KeySpec === 'RSA_4096';
  if (PublicKey === undefined || !isLongEnough || !EncryptionAlgorithms?.includes(ALGORITHM)) {
    throw new VizardError(
      `KeyId: expected a key RSA_3072 or RSA_4096 for ENCRYPT_DECRYPT, got ${KeySpec} for ${KeyUsage}; name another`,
    );
  }
  return Buffer.from(PublicKey).toString('base64');
}

function adviceFor(code: string): string {
  if (code.startsWith('AccessDenied')) return 'allow the function kms:GetPublicKey';
  if (code === 'NotFoundException') return 'name a key of this account and region';
  return 'check that the key is enabled and the function reaches KMS';
}
