import { Match } from 'aws-cdk-lib/assertions';
import { describe, expect, it } from 'vitest';
import { deployment, MODES, resource, resources, template } from './deployments.ts';

const KEY = { 'Fn::GetAtt': [expect.stringMatching(/^Key/), 'Arn'] };

describe('with database=aurora', () => {
  const stack = template(MODES.aurora);

  it('makes a protected, encrypted cluster with backups, IAM authentication and a rotated password', () => {
    const cluster = resource(stack, 'AWS::RDS::DBCluster', 'DatabaseCluster');

    expect(cluster.DeletionPolicy).toBe('Snapshot');
    expect(cluster.Properties).toMatchObject({
      Engine: 'aurora-postgresql',
      DeletionProtection: true,
      StorageEncrypted: true,
      KmsKeyId: KEY,
      BackupRetentionPeriod: 14,
      EnableIAMDatabaseAuthentication: true,
      EnableHttpEndpoint: true,
      // RDS rotates a password that it manages, every seven days.
      ManageMasterUserPassword: true,
      MasterUserSecret: { KmsKeyId: KEY },
      ServerlessV2ScalingConfiguration: { MinCapacity: 0.5, MaxCapacity: 8 },
      EnableCloudwatchLogsExports: ['postgresql'],
    });
    expect(cluster.Properties).not.toHaveProperty('MasterUserPassword');
    stack.hasResourceProperties('AWS::RDS::DBInstance', {
      PubliclyAccessible: false,
      MonitoringInterval: 60,
    });
    stack.hasResourceProperties('AWS::RDS::DBClusterParameterGroup', {
      Parameters: { 'rds.force_ssl': '1', log_error_verbosity: 'terse', log_min_error_statement: 'panic' },
    });
  });

  it('leaves no way in or out of the network but to Secrets Manager', () => {
    for (const type of ['AWS::EC2::InternetGateway', 'AWS::EC2::NatGateway', 'AWS::EC2::Route']) {
      stack.resourceCountIs(type, 0);
    }
    stack.resourceCountIs('AWS::EC2::VPCEndpoint', 1);
    const endpoint = resource(stack, 'AWS::EC2::VPCEndpoint', 'DatabaseNetwork').Properties;
    expect(endpoint.PolicyDocument.Statement).toEqual([
      {
        Effect: 'Allow',
        Principal: { AWS: '*' },
        Action: 'secretsmanager:GetSecretValue',
        Resource: '*',
        Condition: {
          StringEquals: {
            'aws:PrincipalAccount': { Ref: 'AWS::AccountId' },
            'aws:ResourceAccount': { Ref: 'AWS::AccountId' },
          },
        },
      },
    ]);
    stack.hasResourceProperties('AWS::EC2::VPCEndpoint', {
      ServiceName: Match.objectLike({ 'Fn::Join': ['', Match.arrayWith(['.secretsmanager'])] }),
      PrivateDnsEnabled: true,
    });
    const ports = [
      ...Object.values(resources(stack, 'AWS::EC2::SecurityGroupIngress')),
      ...Object.values(resources(stack, 'AWS::EC2::SecurityGroupEgress')),
    ].map(({ Properties }) => Properties.FromPort);
    expect(ports.toSorted()).toEqual([443, 443, 5432, 5432]);
  });

  it('is protected as a whole, as the cluster alone would lose its instance', () => {
    expect(deployment().stack.terminationProtection).toBe(true);
    expect(deployment(MODES.url).stack.terminationProtection).toBe(false);
  });

  it('takes capacity from the context', () => {
    template({ minAcu: '0', maxAcu: '64' }).hasResourceProperties('AWS::RDS::DBCluster', {
      ServerlessV2ScalingConfiguration: { MinCapacity: 0, MaxCapacity: 64 },
    });
  });
});

describe('with database=existing', () => {
  const stack = template(MODES.existing);

  it('makes neither a database nor a network', () => {
    for (const type of ['AWS::RDS::DBCluster', 'AWS::EC2::VPC', 'AWS::EC2::Subnet'])
      stack.resourceCountIs(type, 0);
  });

  it('lets the functions in on port 5432 of the given security group', () => {
    stack.hasResourceProperties('AWS::EC2::SecurityGroupIngress', {
      GroupId: MODES.existing.databaseSecurityGroupId,
      FromPort: 5432,
      ToPort: 5432,
    });
  });

  it('takes host, port and name from the context where RDS manages the secret', () => {
    const given = template({
      ...MODES.existing,
      databaseHost: 'logins.cluster-abc.eu-west-1.rds.amazonaws.com',
      databasePort: '6432',
      databaseName: 'logins',
    });

    expect(
      resource(given, 'AWS::Lambda::Function', 'IngestSchemaFunction').Properties.Environment.Variables,
    ).toMatchObject({
      DATABASE_HOST: 'logins.cluster-abc.eu-west-1.rds.amazonaws.com',
      DATABASE_PORT: '6432',
      DATABASE_NAME: 'logins',
    });
    given.hasResourceProperties('AWS::EC2::SecurityGroupIngress', { FromPort: 6432 });
  });

  it('learns the host from the migration and the resource id from RDS', () => {
    const { Properties } = resource(stack, 'AWS::Lambda::Function', 'IngestFunction');
    const found = resource(stack, 'Custom::VizardDatabaseResourceId', 'IngestSchemaResourceId');

    expect(Properties.Environment.Variables).toMatchObject({
      DATABASE_HOST: { 'Fn::GetAtt': [expect.stringMatching(/^IngestSchemaRun/), 'Host'] },
      DATABASE_USER: 'vizard_writer',
    });
    expect(found.Properties.Host).toEqual({
      'Fn::GetAtt': [expect.stringMatching(/^IngestSchemaRun/), 'Host'],
    });
  });
});

describe('with database=url', () => {
  const stack = template(MODES.url);

  it('puts nothing into a VPC', () => {
    const types = Object.values(stack.toJSON().Resources as Record<string, { Type: string }>).map(
      ({ Type }) => Type,
    );

    expect(types.filter((type) => type.startsWith('AWS::EC2::') || type.startsWith('AWS::RDS::'))).toEqual(
      [],
    );
    for (const { Properties } of Object.values(resources(stack, 'AWS::Lambda::Function'))) {
      expect(Properties).not.toHaveProperty('VpcConfig');
    }
  });
});
