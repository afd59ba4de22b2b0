import { Key } from 'aws-cdk-lib/aws-kms';
import { type ISecret, Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';

/**
 * A secret that is there.
 *
 * @param keyArn the customer key that it is encrypted with, where it is: whoever reads the secret has to use it
 */
export function existingSecret(scope: Construct, id: string, secretArn: string, keyArn?: string): ISecret {
  const place = new Construct(scope, id);
  return Secret.fromSecretAttributes(place, 'Secret', {
    secretCompleteArn: secretArn,
    encryptionKey: keyArn === undefined ? undefined : Key.fromKeyArn(place, 'Key', keyArn),
  });
}
