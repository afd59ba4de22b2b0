import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { CLIENT_SETTINGS } from './sdk.ts';

/** What a secret holds: text, bytes, or nothing. */
export type SecretValue = string | Uint8Array | undefined;

/**
 * The one call of Secrets Manager that is made. Imported by name, so that the bundle holds no other.
 *
 * @returns a function that throws what the SDK throws
 */
export function openSecretsManager(region: string): (arn: string) => Promise<SecretValue> {
  const client = new SecretsManagerClient({ region, ...CLIENT_SETTINGS });
  return async (arn) => {
    const { SecretString, SecretBinary } = await client.send(new GetSecretValueCommand({ SecretId: arn }));
    return SecretString ?? SecretBinary;
  };
}
