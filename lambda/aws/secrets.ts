import type { SecretsProvider } from '@aws-lambda-powertools/parameters/secrets';
import { SecretFailure } from '../errors.ts';
import { onceMade } from './once-made.ts';
import { awsErrorCode, CLIENT_SETTINGS } from './sdk.ts';

/** AWS Secrets Manager, with a cache. */
export interface Secrets {
  /**
   * The text of a secret, at most five minutes old, or fresh.
   *
   * @param name of the setting that named the secret, as errors name it
   * @throws SecretFailure
   */
  read(arn: string, name: string, options?: { readonly fresh: boolean }): Promise<string>;
}

/** Seconds. A key that was rotated is used at the latest then. */
const MAX_AGE = 300;

/** The SDK is loaded at the first read: a cold start without secrets has no use for it. */
export function openSecrets(region: string): Secrets {
  const open = onceMade(() => openProvider(region));
  return {
    async read(arn, name, { fresh } = { fresh: false }) {
      const provider = await open();
      const text = await provider.get(arn, { maxAge: MAX_AGE, forceFetch: fresh }).catch((error: unknown) => {
        // Powertools wraps what the SDK threw.
        throw unreadable(name, awsErrorCode((error as { cause?: unknown }).cause));
      });
      if (typeof text === 'string') return text;
      throw new SecretFailure(
        `${name}: expected a secret that is text, got ${text === undefined ? 'an empty one' : 'bytes'}; store text`,
        'type',
      );
    },
  };
}

async function openProvider(region: string): Promise<SecretsProvider> {
  const [{ SecretsProvider }, { SecretsManagerClient }] = await Promise.all([
    import('@aws-lambda-powertools/parameters/secrets'),
    import('@aws-sdk/client-secrets-manager'),
  ]);
  const awsSdkV3Client = new SecretsManagerClient({ region, ...CLIENT_SETTINGS });
  return new SecretsProvider({ awsSdkV3Client });
}

function unreadable(name: string, code: string): SecretFailure {
  return new SecretFailure(
    `${name}: expected a secret that can be read, got ${code}; ${ADVICE[code] ?? REACH}`,
    code,
  );
}

const REACH = 'check that the function reaches Secrets Manager: by an endpoint in its VPC, or by a NAT';
const ADVICE: Readonly<Record<string, string>> = {
  AccessDeniedException:
    'allow the function secretsmanager:GetSecretValue, and kms:Decrypt where the secret has its own key',
  DecryptionFailure: 'allow the function kms:Decrypt of the key of the secret',
  ResourceNotFoundException: 'name a secret that exists in this region and has a value',
  InvalidRequestException: 'see whether the secret is being deleted',
};
