import { hostname, userInfo } from 'node:os';
import { VizardError } from '../../lambda/errors.ts';
import { AWS_LIMITS, awsCode } from './aws.ts';
import type { KeysetStore } from './keyset-store.ts';

/**
 * Who is at work, as the audit trail has it: where the keyset is a secret, the ARN that AWS knows whoever asks for it by;
 * elsewhere the operating system's word, which is as good as that system.
 *
 * @throws VizardError where AWS doesn't say
 */
export async function identify({ kind, region }: Pick<KeysetStore, 'kind' | 'region'>): Promise<string> {
  if (kind !== 'secret') return `${userName()}@${hostname()}`;
  const { GetCallerIdentityCommand, STSClient } = await import('@aws-sdk/client-sts');
  const client = new STSClient({ ...(region && { region }), ...AWS_LIMITS });
  const { Arn } = await client.send(new GetCallerIdentityCommand()).catch((error: unknown) => {
    throw unknown(awsCode(error));
  });
  if (Arn === undefined) throw unknown('no_arn');
  return Arn;
}

function unknown(code: string): VizardError {
  return new VizardError(
    `AWS does not say who you are (${code}), and nobody acts here without a name; log in to AWS, or set AWS_PROFILE`,
  );
}

/** In a container the number of the user may stand in no list. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid ${process.getuid?.() ?? 'unknown'}`;
  }
}
