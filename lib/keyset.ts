import { RemovalPolicy } from 'aws-cdk-lib';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { type ISecret, Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import { acknowledge } from './acknowledge.ts';

export interface KeysetProps {
  /** @default - the account's key for Secrets Manager */
  readonly encryptionKey?: IKey;
}

/**
 * A new keyset in Secrets Manager: `{"primary":"k1","k1":"<64 random characters>"}`.
 *
 * It is retained when the stack goes: without it nobody gets back what it masked, and new tokens no longer match old
 * ones. Its generation must never be changed either, because CloudFormation would then replace the keys of a deployed
 * stack; a test pins it.
 */
export class Keyset extends Construct {
  readonly secret: ISecret;

  constructor(scope: Construct, id: string, { encryptionKey }: KeysetProps = {}) {
    super(scope, id);
    this.secret = new Secret(this, 'Secret', {
      description:
        'Vizard: the keyset of the tokens. Without it nothing is recovered and nothing joins. Keep it.',
      encryptionKey,
      generateSecretString: {
        secretStringTemplate: '{"primary":"k1"}',
        generateStringKey: 'k1',
        passwordLength: 64,
        excludePunctuation: true,
      },
      removalPolicy: RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
    });
    const reason =
      'A key that replaces another by itself would tear equal values apart; rotation is a decision.';
    acknowledge(
      this,
      { pack: 'solutions', rule: 'SMG4', reason },
      { pack: 'nist', rule: 'SecretsManagerRotationEnabled', reason },
    );
  }
}
