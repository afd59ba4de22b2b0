import { CustomResource, Duration, Lazy, RemovalPolicy, Stack } from 'aws-cdk-lib';
import { AnyPrincipal, CfnRole, Effect, type ManagedPolicy, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { type IKey, Key, KeySpec, KeyUsage } from 'aws-cdk-lib/aws-kms';
import { Construct } from 'constructs';
import { DeploymentFunction } from './deployment-function.ts';

export interface RecoveryKeyProps {
  /** For logs. @default - the key of CloudWatch Logs */
  readonly encryptionKey?: IKey;
}

/**
 * The key to which functions seal what they masked, and which they can't use: RSA, because one seals with the public half
 * and nobody ever sees the private one, which stays in KMS. It outlives the stack: without it the vault is never opened.
 *
 * @see https://docs.aws.amazon.com/kms/latest/developerguide/asymmetric-key-specs.html
 */
export class RecoveryKey extends Construct {
  readonly key: Key;
  /** Base64 of the DER SubjectPublicKeyInfo, found during the deployment. */
  readonly publicKey: string;

  constructor(scope: Construct, id: string, { encryptionKey }: RecoveryKeyProps = {}) {
    super(scope, id);
    this.key = new Key(this, 'Key', {
      description: 'Vizard: opens the vault. Without it nothing that was sealed is recovered. Keep it.',
      keySpec: KeySpec.RSA_3072,
      keyUsage: KeyUsage.ENCRYPT_DECRYPT,
      removalPolicy: RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
    });
    this.denyToRolesOfTheStack();
    const lookup = new DeploymentFunction(this, 'PublicKey', {
      description: 'Vizard: finds the public half of the recovery key',
      entry: 'public-key.ts',
      timeout: Duration.minutes(1),
      encryptionKey,
    });
    lookup.function.role.addToPolicy(
      new PolicyStatement({ actions: ['kms:GetPublicKey'], resources: [this.key.keyArn] }),
    );
    const found = new CustomResource(this, 'Found', {
      serviceToken: lookup.serviceToken,
      resourceType: 'Custom::VizardPublicKey',
      properties: { KeyId: this.key.keyArn },
    });
    this.publicKey = found.getAttString('PublicKey');
  }

  /** Lets whoever has the policy open what was sealed. */
  grantOpen(policy: ManagedPolicy): void {
    policy.addStatements(new PolicyStatement({ actions: ['kms:Decrypt'], resources: [this.key.keyArn] }));
  }

  /**
   * None of them is granted anything of it. But the key leaves it to IAM who may use it, and a policy that somebody
   * attaches to a function's role later, to find out what is wrong with it, must not open the vault to the function.
   */
  private denyToRolesOfTheStack(): void {
    const stack = Stack.of(this);
    const roles = Lazy.list({
      produce: () =>
        stack.node
          .findAll()
          .filter((construct) => construct instanceof CfnRole)
          .map(({ attrArn }) => attrArn),
    });
    this.key.addToResourcePolicy(
      new PolicyStatement({
        effect: Effect.DENY,
        principals: [new AnyPrincipal()],
        notActions: ['kms:GetPublicKey'],
        resources: ['*'],
        conditions: { ArnEquals: { 'aws:PrincipalArn': roles } },
      }),
    );
  }
}
