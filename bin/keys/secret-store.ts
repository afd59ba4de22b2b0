import { hash } from 'node:crypto';
import { VizardError } from '../../lambda/errors.ts';
import { AWS_LIMITS, awsCode, regionOf } from './aws.ts';
import { changedMeanwhile, type TextStore } from './text-store.ts';

interface Version {
  readonly id: string;
  readonly text: string;
}

/**
 * A keyset in AWS Secrets Manager.
 *
 * @param id ARN or name
 * @param setting that named it, as errors name it
 */
export function secretStore(id: string, setting: string): TextStore {
  const region = regionOf(id);
  const name = `${setting}: secret ${id}`;

  async function read(): Promise<Version> {
    const { client, GetSecretValueCommand } = await openClient(region);
    const { SecretString: text, VersionId } = await client
      .send(new GetSecretValueCommand({ SecretId: id }))
      .catch((error: unknown) => {
        throw failure(name, 'read', error);
      });
    if (text !== undefined) return { id: VersionId ?? '', text };
    throw new VizardError(`${name}: expected a secret that is text, got bytes or nothing; store text`);
  }

  /** The version that was there before stays with the label AWSPREVIOUS. */
  async function put(text: string, after: Version): Promise<void> {
    const { client, PutSecretValueCommand } = await openClient(region);
    try {
      await client.send(
        new PutSecretValueCommand({ SecretId: id, SecretString: text, ClientRequestToken: successor(after) }),
      );
    } catch (error) {
      if (awsCode(error) === 'ResourceExistsException') throw changedMeanwhile(name);
      throw failure(name, 'written', error);
    }
  }

  return {
    name,
    kind: 'secret',
    region,
    readText: async () => (await read()).text,
    async write(text, expected) {
      const current = await read();
      if (current.text !== expected) throw changedMeanwhile(name);
      await put(text, current);
    },
    // The version before is then one with the same text. Those without a label are AWS's to remove.
    async forgetPrevious() {
      const current = await read();
      await put(current.text, current);
    },
  };
}

/** The SDK is loaded only here: it takes longer than all else that a command needs for a file. */
async function openClient(region: string | undefined) {
  const { SecretsManagerClient, ...commands } = await import('@aws-sdk/client-secrets-manager');
  return { client: new SecretsManagerClient({ ...(region && { region }), ...AWS_LIMITS }), ...commands };
}

/**
 * The id of the version that comes after another. Two that both read the same version want the same id, and Secrets
 * Manager refuses the second where the texts differ: no change is lost.
 */
function successor({ id, text }: Version): string {
  return hash('sha256', JSON.stringify([id, hash('sha256', text)]));
}

function failure(name: string, what: 'read' | 'written', error: unknown): VizardError {
  const code = awsCode(error);
  const advice = ADVICE[code] ?? 'check the region, AWS_ENDPOINT_URL and that the network lets it through';
  return new VizardError(`${name} cannot be ${what} (${code}); ${advice}`);
}

const ADVICE: Readonly<Record<string, string>> = {
  AccessDeniedException:
    'attach the policy of the stack that is meant for this: RecoveryPolicy to read it, CustodianPolicy to change it',
  ResourceNotFoundException: 'name a secret that exists in this region and has a value',
  DecryptionFailure: 'allow kms:Decrypt of the key of the secret',
  InvalidRequestException: 'see whether the secret is being deleted',
  CredentialsProviderError: 'log in to AWS, or set AWS_PROFILE',
  ExpiredTokenException: 'log in to AWS again',
};
