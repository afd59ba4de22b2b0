import type { Template } from 'aws-cdk-lib/assertions';
import { describe, expect, it } from 'vitest';
import { MODE_NAMES, MODES, type Mode, resources, template } from './deployments.ts';
import { managedPermissions, managedPolicies, permissions } from './permissions.ts';

/** Names of the policies by which somebody reads the administrator's secret. */
function readersOfAdministrator(stack: Template): string[] {
  const readers = Object.entries(resources(stack, 'AWS::IAM::Policy')).filter(([, { Properties }]) =>
    /MasterUserSecret|secret:logins/.test(JSON.stringify(Properties)),
  );
  return readers.map(([id]) => id.replace(/[0-9A-F]{8}$/, '')).toSorted();
}

const NETWORK = [
  'AssignPrivateIpAddresses',
  'CreateNetworkInterface',
  'DeleteNetworkInterface',
  'DescribeNetworkInterfaces',
  'DescribeSubnets',
  'UnassignPrivateIpAddresses',
].map((action) => `ec2:${action}`);
/** Lambda needs them to put a function into a VPC, and they have no resources to name; the code is denied them. */
const inVpc = (name: string) => [
  ...NETWORK.map((action) => `Allow ${action} *`),
  ...NETWORK.map((action) => `Deny ${action} * if lambda:SourceFunctionArn=${name}.Arn`),
];
const LOGS_AND_TRACES = (logs: string) => [
  `Allow logs:CreateLogStream ${logs}.Arn`,
  `Allow logs:PutLogEvents ${logs}.Arn`,
  'Allow xray:PutTelemetryRecords *',
  'Allow xray:PutTraceSegments *',
];

/** Logging in as a role of the database; where a URL is given it says who. */
const connect = (mode: Mode, role: string) => {
  const resource =
    mode === 'aurora' ? 'DatabaseCluster.DBClusterResourceId' : 'IngestSchemaResourceIdFound.ResourceId';
  return mode === 'url' ? [] : [`Allow rds-db:connect ${here(mode, 'rds-db')}:dbuser:${resource}/${role}`];
};

/** What it takes to mask an event and to store it. */
const write = (mode: Mode, name: string) => [
  'Allow secretsmanager:GetSecretValue KeysetSecret',
  'Allow kms:Decrypt Key.Arn',
  ...connect(mode, 'vizard_writer'),
  ...(mode === 'url' ? [] : inVpc(`${name}Function`)),
  ...LOGS_AND_TRACES(`${name}Logs`),
];

/** Where the stack is, as its ARNs say it. */
const here = (mode: Mode, service: string) =>
  mode === 'existing'
    ? `arn:aws:${service}:eu-west-1:111122223333`
    : `arn:AWS::Partition:${service}:AWS::Region:AWS::AccountId`;

const throughSecretsManager = (mode: Mode) =>
  ` if kms:ViaService=secretsmanager.${mode === 'existing' ? 'eu-west-1' : 'AWS::Region'}.amazonaws.com`;

const ADMINISTRATOR: Record<Mode, string[]> = {
  aurora: [
    'Allow secretsmanager:GetSecretValue DatabaseCluster.MasterUserSecret.SecretArn',
    'Allow kms:Decrypt Key.Arn',
  ],
  existing: [`Allow secretsmanager:GetSecretValue ${MODES.existing.databaseSecretArn}`],
  url: [],
};

/** What it takes to log in as the administrator, and nothing else. */
const administer = (mode: Mode, name: string) =>
  [
    ...ADMINISTRATOR[mode],
    ...(mode === 'url' ? [] : inVpc(`${name}Function`)),
    ...LOGS_AND_TRACES(`${name}Logs`),
  ].toSorted();

/** The provider framework invokes its function and answers CloudFormation. */
const provider = (name: string) => [
  `Allow lambda:GetFunction ${name}Function.Arn`,
  `Allow lambda:InvokeFunction ${name}Function.Arn`,
  `Allow lambda:InvokeFunction ${name}Function.Arn:*`,
  `Allow logs:CreateLogStream ${name}ProviderLogs.Arn`,
  `Allow logs:PutLogEvents ${name}ProviderLogs.Arn`,
];
const RDS = 'arn:aws:rds:eu-west-1:111122223333';
/** RDS asks for a policy of AWS's own to publish enhanced monitoring. */
const MANAGED = ['AmazonRDSEnhancedMonitoringRole'];

const OTHERS: Record<Mode, Record<string, string[]>> = {
  aurora: {
    IngestSchemaProviderRole: provider('IngestSchema'),
    DatabaseClusterMonitoringRole: MANAGED,
    DatabaseNetworkVpcFlowLogIAMRole: [
      'Allow logs:CreateLogStream DatabaseNetworkFlowLogs.Arn',
      'Allow logs:DescribeLogStreams DatabaseNetworkFlowLogs.Arn',
      'Allow logs:PutLogEvents DatabaseNetworkFlowLogs.Arn',
    ],
  },
  existing: {
    IngestSchemaProviderRole: provider('IngestSchema'),
    IngestSchemaResourceIdProviderRole: provider('IngestSchemaResourceId'),
    IngestSchemaResourceIdRole: [
      ...[
        'DescribeDBClusterEndpoints',
        'DescribeDBClusters',
        'DescribeDBInstances',
        'DescribeDBProxies',
      ].flatMap((action) =>
        ['cluster', 'cluster-endpoint', 'db', 'db-proxy'].map(
          (kind) => `Allow rds:${action} ${RDS}:${kind}:*`,
        ),
      ),
      ...LOGS_AND_TRACES('IngestSchemaResourceIdLogs'),
    ].toSorted(),
  },
  url: { IngestSchemaProviderRole: provider('IngestSchema') },
};

describe.each(MODE_NAMES)('with database=%s', (mode) => {
  const stack = template(MODES[mode]);

  it('the ingest may consume its queue, read its keyset, connect as the writer, and log', () => {
    expect(permissions(stack, 'IngestRole')).toEqual(
      [
        'Allow sqs:DeleteMessage Queue.Arn',
        'Allow sqs:GetQueueAttributes Queue.Arn',
        'Allow sqs:ReceiveMessage Queue.Arn',
        ...write(mode, 'Ingest'),
      ].toSorted(),
    );
  });

  it('the probe may write as the ingest does, and has no business with its queue', () => {
    expect(permissions(stack, 'IngestProbeRole')).toEqual(write(mode, 'IngestProbe').toSorted());
  });

  it('the circuit breaker may switch the mapping, ask the probe, remember and tell, and sees no event and no key', () => {
    const mapping = `${here(mode, 'lambda')}:event-source-mapping:IngestMapping`;
    const memory = `${here(mode, 'ssm')}:parameter/BreakerMemory`;
    expect(permissions(stack, 'BreakerRole')).toEqual(
      [
        `Allow lambda:GetEventSourceMapping ${mapping}`,
        `Allow lambda:UpdateEventSourceMapping ${mapping}`,
        'Allow lambda:InvokeFunction IngestProbeFunction.Arn',
        `Allow ssm:GetParameter ${memory}`,
        `Allow ssm:PutParameter ${memory}`,
        'Allow sns:Publish AlarmsTopic',
        'Allow kms:Decrypt Key.Arn',
        'Allow kms:GenerateDataKey Key.Arn',
        'Allow cloudwatch:GetMetricData *',
        ...LOGS_AND_TRACES('BreakerLogs'),
      ].toSorted(),
    );
  });

  it('who changes the schema, and nobody else, may read the administrator of the database', () => {
    expect(permissions(stack, 'IngestSchemaRole')).toEqual(administer(mode, 'IngestSchema'));
    const owners = ['IngestSchemaRoleDefaultPolicy', 'RetentionRoleDefaultPolicy'];
    expect(readersOfAdministrator(stack)).toEqual(
      { aurora: owners.slice(0, 1), existing: owners, url: [] }[mode],
    );
  });

  it('who keeps the partitions may log in as administrator, and that is all', () => {
    const kept = template({ ...MODES[mode], retentionDays: '30' });

    expect(permissions(kept, 'RetentionRole')).toEqual(administer(mode, 'Retention'));
    expect(readersOfAdministrator(kept)).toHaveLength(mode === 'url' ? 0 : 2);
  });

  it('whoever recovers may read the keyset, use its key through Secrets Manager only, and log in to recover', () => {
    expect(managedPermissions(stack, 'RecoveryPolicy')).toEqual(
      [
        'Allow secretsmanager:GetSecretValue KeysetSecret',
        `Allow kms:Decrypt Key.Arn${throughSecretsManager(mode)}`,
        ...connect(mode, 'vizard_recovery'),
      ].toSorted(),
    );
  });

  it('whoever keeps the keys may replace the keyset as well, and logs in as another', () => {
    expect(managedPermissions(stack, 'CustodianPolicy')).toEqual(
      [
        'Allow secretsmanager:GetSecretValue KeysetSecret',
        'Allow secretsmanager:PutSecretValue KeysetSecret',
        `Allow kms:Decrypt Key.Arn${throughSecretsManager(mode)}`,
        `Allow kms:GenerateDataKey Key.Arn${throughSecretsManager(mode)}`,
        ...connect(mode, 'vizard_custodian'),
      ].toSorted(),
    );
  });

  it('there are no other policies, and no role of the stack may replace the keyset', () => {
    const policies = resources(stack, 'AWS::IAM::ManagedPolicy');

    expect(Object.keys(policies).map((id) => id.replace(/[0-9A-F]{8}$/, ''))).toEqual([
      'RecoveryPolicy',
      'CustodianPolicy',
    ]);
    expect(JSON.stringify(resources(stack, 'AWS::IAM::Policy'))).not.toContain('PutSecretValue');
  });

  it('no other role may do more than it has to', () => {
    const others = Object.keys(resources(stack, 'AWS::IAM::Role')).filter(
      (id) => !/^(Ingest(Schema|Probe)?|Breaker|Retention)Role/.test(id),
    );

    const found = Object.fromEntries(
      others.map((id) => [
        id.replace(/[0-9A-F]{8}$/, ''),
        id.includes('MonitoringRole') ? managedPolicies(stack, id) : permissions(stack, id),
      ]),
    );
    expect(found).toEqual(OTHERS[mode]);
  });
});
