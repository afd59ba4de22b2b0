import { RemovalPolicy, Stack } from 'aws-cdk-lib';
import {
  FlowLogDestination,
  FlowLogTrafficType,
  InterfaceVpcEndpointAwsService,
  IpAddresses,
  type IVpc,
  Peer,
  Port,
  SecurityGroup,
  SubnetType,
  Vpc,
} from 'aws-cdk-lib/aws-ec2';
import { AnyPrincipal, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { acknowledge, INLINE_POLICY } from '../acknowledge.ts';
import type { Placement } from '../service-function.ts';

export interface NetworkProps {
  /** For the flow logs. @default - the key of CloudWatch Logs */
  readonly encryptionKey?: IKey;
}

/**
 * Two isolated subnets: no way in, none out, no NAT gateway to pay. The only service that a function calls from there
 * is Secrets Manager, which has an endpoint inside.
 */
export class Network extends Construct {
  readonly vpc: Vpc;
  /** Where functions run. */
  readonly placement: Placement;

  constructor(scope: Construct, id: string, { encryptionKey }: NetworkProps = {}) {
    super(scope, id);
    const vpcSubnets = { subnetType: SubnetType.PRIVATE_ISOLATED };
    this.vpc = new Vpc(this, 'Vpc', {
      ipAddresses: IpAddresses.cidr('10.0.0.0/20'),
      maxAzs: 2,
      natGateways: 0,
      subnetConfiguration: [{ name: 'Isolated', cidrMask: 24, ...vpcSubnets }],
      // Else a function comes along that may change every security group of the account.
      restrictDefaultSecurityGroup: false,
    });
    const logGroup = new LogGroup(this, 'FlowLogs', {
      retention: RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
      encryptionKey,
    });
    this.vpc.addFlowLog('FlowLog', {
      destination: FlowLogDestination.toCloudWatchLogs(logGroup),
      trafficType: FlowLogTrafficType.REJECT,
    });
    acknowledge(this.vpc, INLINE_POLICY, {
      pack: 'nist',
      rule: 'VPCDefaultSecurityGroupClosed',
      reason: 'Nothing is in the default security group: every network interface names its own.',
    });
    const functions = functionsSecurityGroup(this, this.vpc);
    const endpoint = new SecurityGroup(this, 'Endpoint', {
      vpc: this.vpc,
      description: 'Secrets Manager, for the functions',
      allowAllOutbound: false,
    });
    endpoint.addIngressRule(functions, Port.tcp(443), 'the functions');
    functions.addEgressRule(endpoint, Port.tcp(443), 'Secrets Manager');
    const { account } = Stack.of(this);
    const secretsManager = this.vpc.addInterfaceEndpoint('SecretsManager', {
      service: InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
      securityGroups: [endpoint],
      open: false,
    });
    // Not a way to carry something to somebody else's account.
    secretsManager.addToPolicy(
      new PolicyStatement({
        principals: [new AnyPrincipal()],
        actions: ['secretsmanager:GetSecretValue'],
        resources: ['*'],
        conditions: { StringEquals: { 'aws:PrincipalAccount': account, 'aws:ResourceAccount': account } },
      }),
    );
    this.placement = { vpc: this.vpc, vpcSubnets, securityGroups: [functions] };
  }
}

/** Functions may call nobody but whom a rule names. */
export function functionsSecurityGroup(scope: Construct, vpc: IVpc): SecurityGroup {
  return new SecurityGroup(scope, 'Functions', {
    vpc,
    description: 'Functions that reach the database',
    allowAllOutbound: false,
  });
}

/** HTTPS to wherever the VPC leads it: Secrets Manager through a NAT gateway or an endpoint that is there. */
export function allowHttps(functions: SecurityGroup): void {
  functions.addEgressRule(Peer.anyIpv4(), Port.tcp(443), 'Secrets Manager');
}
