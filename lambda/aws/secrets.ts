import { SecretFailure } from '../errors.ts';
import { MAX_SECRET_AGE } from '../secret-age.ts';
import { madeAhead } from './once-made.ts';
import { awsErrorCode } from './sdk.ts';

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

/** The SDK is loaded only here: a cold start without secrets has no use for it. */
export function openSecrets(region: string): Secrets {
  const secretsManager = madeAhead(async () => {
    const { openSecretsManager } = await import('./secrets-manager.ts');
    return openSecretsManager(region);
  });
  const kept = new Map<string, { readonly text: string; readonly until: number }>();

  async function fetch(arn: string, name: string): Promise<string> {
    const get = await secretsManager();
    const value = await get(arn).catch((error: unknown) => {
      throw unreadable(name, awsErrorCode(error));
    });
    if (typeof value === 'string') return value;
    throw new SecretFailure(
      `${name}: expected a secret that is text, got ${value === undefined ? 'an empty one' : 'bytes'}; store text`,
      'type',
    );
  }

  return {
    async read(arn, name, { fresh } = { fresh: false }) {
      const known = kept.get(arn);
      if (!fresh && known !== undefined && Date.now() < known.until) return known.text;
      const text = await fetch(arn, name);
      kept.set(arn, { text, until: Date.now() + MAX_SECRET_AGE });
      return text;
    },
  };
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
