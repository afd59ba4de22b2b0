import { type CfnElement, RemovalPolicy, Stack } from 'aws-cdk-lib';
import { Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Provider } from 'aws-cdk-lib/custom-resources';
import { Construct } from 'constructs';
import { acknowledge, INLINE_POLICY } from './acknowledge.ts';
import { ServiceFunction, type ServiceFunctionProps } from './service-function.ts';

/**
 * A function that runs during deployments, behind a custom resource. The CDK's provider framework answers
 * CloudFormation, so that the function itself needs no way out of its VPC, and an error of it fails the deployment.
 */
export class DeploymentFunction extends Construct {
  readonly function: ServiceFunction;
  readonly serviceToken: string;

  constructor(scope: Construct, id: string, props: ServiceFunctionProps) {
    super(scope, id);
    this.function = new ServiceFunction(this, 'Default', props);
    const logGroup = new LogGroup(this, 'ProviderLogs', {
      retention: RetentionDays.THREE_MONTHS,
      removalPolicy: RemovalPolicy.DESTROY,
      encryptionKey: props.encryptionKey,
    });
    const role = new Role(this, 'ProviderRole', { assumedBy: new ServicePrincipal('lambda.amazonaws.com') });
    logGroup.grantWrite(role);
    const provider = new Provider(this, 'Provider', {
      onEventHandler: this.function.function,
      logGroup,
      frameworkOnEventRole: role,
    });
    this.serviceToken = provider.serviceToken;
    this.acknowledgeFindings();
  }

  private acknowledgeFindings(): void {
    const { defaultChild } = this.function.function.node;
    const handler = Stack.of(this).getLogicalId(defaultChild as CfnElement);
    acknowledge(
      this,
      INLINE_POLICY,
      {
        pack: 'solutions',
        rule: `IAM5[Resource::<${handler}.Arn>:*]`,
        reason: 'The provider framework may invoke any version of this one function.',
      },
      { pack: 'nist', rule: 'LambdaConcurrency', reason: 'Runs once a deployment.' },
      { pack: 'nist', rule: 'LambdaDLQ', reason: 'A failure fails the deployment.' },
      { pack: 'nist', rule: 'LambdaInsideVPC', reason: 'The provider framework answers CloudFormation.' },
    );
  }
}
