import { type Duration, RemovalPolicy, Stack } from 'aws-cdk-lib';
import type { ISecurityGroup, IVpc, SubnetSelection } from 'aws-cdk-lib/aws-ec2';
import { Effect, Policy, PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { Architecture, LoggingFormat, Runtime, Tracing } from 'aws-cdk-lib/aws-lambda';
import { NodejsFunction, OutputFormat } from 'aws-cdk-lib/aws-lambda-nodejs';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import { acknowledge, INLINE_POLICY } from './acknowledge.ts';

/** Where in a VPC a function runs. */
export interface Placement {
  readonly vpc: IVpc;
  readonly vpcSubnets: SubnetSelection;
  readonly securityGroups: ISecurityGroup[];
}

export interface ServiceFunctionProps {
  readonly description: string;
  /** File in lambda/ that exports `handler`. */
  readonly entry: string;
  readonly timeout: Duration;
  /** MB. @default 512 */
  readonly memorySize?: number;
  /** @default {} */
  readonly environment?: Readonly<Record<string, string>>;
  /** @default - outside any VPC */
  readonly placement?: Placement;
  /** Whether it calls a service that has calls with event streams, as Lambda. @default false */
  readonly eventStreams?: boolean;
  /** For the log group. @default - the key of CloudWatch Logs */
  readonly encryptionKey?: IKey;
  /** @default THREE_MONTHS */
  readonly logRetention?: RetentionDays;
}

/** What Lambda does on the function's behalf to put it into a VPC. None of these can be limited to a resource. */
const NETWORK_ACTIONS = [
  'ec2:CreateNetworkInterface',
  'ec2:DescribeNetworkInterfaces',
  'ec2:DescribeSubnets',
  'ec2:DeleteNetworkInterface',
  'ec2:AssignPrivateIpAddresses',
  'ec2:UnassignPrivateIpAddresses',
];

/** Where the SDK looks for credentials, a dozen places; Lambda gives them in environment variables. */
const CREDENTIAL_CHAINS = ['@aws-sdk/credential-provider-node', '@aws-sdk/credential-providers'];

function lambdaFile(name: string): string {
  return new URL(`../lambda/${name}`, import.meta.url).pathname;
}

/**
 * A function of lambda/ as this project runs it: Node 24 on arm64, one minified CommonJS file with source maps, JSON
 * logs in a log group of its own, traces, and a role that begins with nothing but its own logs and traces.
 */
export class ServiceFunction extends Construct {
  readonly function: NodejsFunction;
  readonly role: Role;

  constructor(scope: Construct, id: string, props: ServiceFunctionProps) {
    super(scope, id);
    const {
      description,
      entry,
      timeout,
      memorySize = 512,
      environment = {},
      eventStreams = false,
      placement,
      encryptionKey,
    } = props;
    const logGroup = new LogGroup(this, 'Logs', {
      retention: props.logRetention ?? RetentionDays.THREE_MONTHS,
      removalPolicy: RemovalPolicy.DESTROY,
      encryptionKey,
    });
    this.role = new Role(this, 'Role', { assumedBy: new ServicePrincipal('lambda.amazonaws.com') });
    logGroup.grantWrite(this.role);
    if (placement !== undefined) {
      this.role.addToPolicy(new PolicyStatement({ actions: NETWORK_ACTIONS, resources: ['*'] }));
    }
    this.function = new NodejsFunction(this, 'Function', {
      description,
      entry: lambdaFile(entry),
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.ARM_64,
      timeout,
      memorySize,
      role: this.role,
      logGroup,
      loggingFormat: LoggingFormat.JSON,
      tracing: Tracing.ACTIVE,
      environment: {
        POWERTOOLS_SERVICE_NAME: Stack.of(this).stackName,
        ...environment,
      },
      ...placement,
      bundling: {
        format: OutputFormat.CJS,
        target: 'node24',
        minify: true,
        sourceMap: true,
        sourcesContent: false,
        mainFields: ['module', 'main'],
        // What runs is what was tested: the SDK of the lock file, not the one that the runtime happens to have.
        bundleAwsSDK: true,
        // pg loads the one where it is installed, which it is not, and the SDK the other for calls with event streams.
        externalModules: ['pg-native', ...(eventStreams ? [] : ['@smithy/core/event-streams'])],
        esbuildArgs: {
          '--alias': CREDENTIAL_CHAINS.map((chain) => `${chain}=${lambdaFile('aws/credentials.ts')}`),
        },
      },
    });
    if (placement !== undefined) this.denyNetworkToCode();
    this.acknowledgeFindings(placement);
  }

  /** Lets the function read the secret, and nothing else of it. */
  grantReadSecret(secret: ISecret): void {
    this.role.addToPolicy(
      new PolicyStatement({ actions: ['secretsmanager:GetSecretValue'], resources: [secret.secretArn] }),
    );
    secret.encryptionKey?.grantDecrypt(this.role);
  }

  addEnvironment(environment: Readonly<Record<string, string>>): void {
    for (const [name, value] of Object.entries(environment)) this.function.addEnvironment(name, value);
  }

  /**
   * The permissions above are for Lambda itself; the code has no business with network interfaces.
   *
   * @see https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-best-practice
   */
  private denyNetworkToCode(): void {
    new Policy(this, 'NetworkGuard', {
      roles: [this.role],
      statements: [
        new PolicyStatement({
          effect: Effect.DENY,
          actions: NETWORK_ACTIONS,
          resources: ['*'],
          conditions: { ArnEquals: { 'lambda:SourceFunctionArn': this.function.functionArn } },
        }),
      ],
    });
  }

  private acknowledgeFindings(placement: Placement | undefined): void {
    acknowledge(
      this,
      INLINE_POLICY,
      {
        pack: 'solutions',
        rule: 'IAM5[Resource::*]',
        reason:
          'X-Ray has no resources to name. In a VPC, neither have the network interfaces that Lambda makes, and a ' +
          'second policy denies those to the code.',
      },
      {
        pack: 'nist',
        rule: 'LambdaConcurrency',
        reason:
          "The event source mapping's maximum concurrency limits it; a reserve below that would throttle.",
      },
      {
        pack: 'nist',
        rule: 'LambdaDLQ',
        reason: 'Invoked synchronously: failed messages stay in the queue, which has a dead-letter queue.',
      },
    );
    if (placement === undefined) {
      acknowledge(this, {
        pack: 'nist',
        rule: 'LambdaInsideVPC',
        reason: 'Reaches nothing in a VPC: it talks to AWS, or to the database of an emulator.',
      });
    }
  }
}
