import type { Template } from 'aws-cdk-lib/assertions';
import { describe, expect, it } from 'vitest';
import { MODE_NAMES, MODES, type Mode, resources, type Statement, template } from './deployments.ts';

/** Every statement of every policy of a role, one line an action: `Allow sqs:ReceiveMessage Queue.Arn`. */
function permissions(stack: Template, role: string): string[] {
  const [roleId, { Properties }] = Object.entries(resources(stack, 'AWS::IAM::Role')).find(([id]) =>
    id.startsWith(role),
  )!;
  expect(Properties.ManagedPolicyArns, 'managed policies').toBeUndefined();
  expect(Properties.Policies, 'inline policies').toBeUndefined();
  const policies = Object.values(resources(stack, 'AWS::IAM::Policy')).filter(({ Properties: { Roles } }) =>
    Roles.some(({ Ref }) => Ref === roleId),
  );
  return policies
    .flatMap(({ Properties: { PolicyDocument } }) => PolicyDocument.Statement)
    .flatMap(({ Effect, Action, Resource, Condition }) =>
      [Action].flat().flatMap((action) =>
        [Resource].flat().map((where) => {
          return `${Effect} ${action} ${place(where)}${conditionOf(Condition)}`;
        }),
      ),
    )
    .toSorted();
}

/** Names of the policies by which somebody reads the administrator's secret. */
function readersOfAdministrator(stack: Template): string[] {
  const readers = Object.entries(resources(stack, 'AWS::IAM::Policy')).filter(([, { Properties }]) =>
    /MasterUserSecret|secret:logins/.test(JSON.stringify(Properties)),
  );
  return readers.map(([id]) => id.replace(/[0-9A-F]{8}$/, '')).toSorted();
}

/** Names of the policies of AWS's own that a role has, and nothing else. */
function managedPolicies(stack: Template, role: string): string[] {
  const { ManagedPolicyArns, Policies } = resources(stack, 'AWS::IAM::Role')[role]!.Properties;
  expect(Policies).toBeUndefined();
  return (ManagedPolicyArns as unknown[]).map((arn) => place(arn).replace(/^.*\//, ''));
}

/** ` if lambda:SourceFunctionArn=IngestFunction.Arn` */
function conditionOf(condition: Statement['Condition']): string {
  const tests = Object.values(condition ?? {}).flatMap((operands) => Object.entries(operands));
  return tests.map(([key, value]) => ` if ${key}=${place(value)}`).join('');
}

/** A resource as a person would name it. */
function place(resource: unknown): string {
  if (typeof resource === 'string') return resource;
  const {
    Ref,
    'Fn::GetAtt': attribute,
    'Fn::Join': join,
  } = resource as {
    Ref?: string;
    'Fn::GetAtt'?: [string, string];
    'Fn::Join'?: [string, unknown[]];
  };
  const name = (id: string) => id.replace(/[0-9A-F]{8}$/, '');
  if (Ref) return name(Ref);
  if (attribute) return `${name(attribute[0])}.${attribute[1]}`;
  return join![1].map(place).join('');
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

const writer = (mode: Mode) => {
  const resource =
    mode === 'aurora' ? 'DatabaseCluster.DBClusterResourceId' : 'IngestSchemaResourceIdFound.ResourceId';
  return `${here(mode, 'rds-db')}:dbuser:${resource}/vizard_writer`;
};

/** What it takes to mask an event and to store it. */
const write = (mode: Mode, name: string) => [
  'Allow secretsmanager:GetSecretValue KeysetSecret',
  'Allow kms:Decrypt Key.Arn',
  ...(mode === 'url' ? [] : [`Allow rds-db:connect ${writer(mode)}`, ...inVpc(`${name}Function`)]),
  ...LOGS_AND_TRACES(`${name}Logs`),
];

/** Where the stack is, as its ARNs say it. */
const here = (mode: Mode, service: string) =>
  mode === 'existing'
    ? `arn:aws:${service}:eu-west-1:111122223333`
    : `arn:AWS::Partition:${service}:AWS::Region:AWS::AccountId`;

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
