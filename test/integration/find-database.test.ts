import { describe, expect, it } from 'vitest';
import { findResourceId } from '../../lambda/aws/rds.ts';
import { REGION, SERVICE_MESSAGE, useAwsServer } from '../support/aws-server.ts';
import { runEntryPoint } from '../support/lambda-process.ts';

const aws = useAwsServer();

const CLUSTER =
  '<DBClusters><DBCluster><DbClusterResourceId>cluster-LOGINS</DbClusterResourceId></DBCluster></DBClusters>';
const host = (name: string) => `${name}.eu-central-1.rds.amazonaws.com`;

function instance(contents: string): string {
  return `<DBInstances><DBInstance>${contents}</DBInstance></DBInstances>`;
}

describe('the resource id of a database', () => {
  it.each([
    ['its endpoint', 'logins.cluster-c1abc', ['DescribeDBClusters logins']],
    ['its reader endpoint', 'logins.cluster-ro-c1abc', ['DescribeDBClusters logins']],
    ['its endpoint in capitals', 'Logins.Cluster-C1ABC', ['DescribeDBClusters logins']],
    [
      'a custom endpoint',
      'batch.cluster-custom-c1abc',
      ['DescribeDBClusterEndpoints batch', 'DescribeDBClusters logins'],
    ],
    ['one of its instances', 'logins-1.c1abc', ['DescribeDBInstances logins-1', 'DescribeDBClusters logins']],
  ])('is that of the cluster, by %s', async (_name, start, requests) => {
    aws.databases.set('DescribeDBClusters logins', CLUSTER);
    aws.databases.set(
      'DescribeDBClusterEndpoints batch',
      '<DBClusterEndpoints><DBClusterEndpointList><DBClusterIdentifier>logins</DBClusterIdentifier></DBClusterEndpointList></DBClusterEndpoints>',
    );
    aws.databases.set(
      'DescribeDBInstances logins-1',
      instance('<DbiResourceId>db-ONE</DbiResourceId><DBClusterIdentifier>logins</DBClusterIdentifier>'),
    );

    expect(await findResourceId(host(start), REGION)).toBe('cluster-LOGINS');

    expect(aws.requests).toEqual(requests);
  });

  it('is its own where an instance stands alone', async () => {
    aws.databases.set('DescribeDBInstances logins', instance('<DbiResourceId>db-ALONE</DbiResourceId>'));

    expect(await findResourceId(host('logins.c1abc'), REGION)).toBe('db-ALONE');
  });

  it('is that of the proxy', async () => {
    const arn = 'arn:aws:rds:eu-central-1:000000000000:db-proxy:prx-0123abc';
    aws.databases.set(
      'DescribeDBProxies logins',
      `<DBProxies><member><DBProxyArn>${arn}</DBProxyArn></member></DBProxies>`,
    );

    expect(await findResourceId(host('logins.proxy-c1abc'), REGION)).toBe('prx-0123abc');
  });

  it('is found in China as well', async () => {
    aws.databases.set('DescribeDBClusters logins', CLUSTER);

    const found = await findResourceId('logins.cluster-c1abc.rds.cn-north-1.amazonaws.com.cn', 'cn-north-1');

    expect(found).toBe('cluster-LOGINS');
  });

  it.each([
    undefined,
    17,
    '',
    'localhost',
    'CANARY.example.org',
    'logins.cluster-c1abc.eu-central-1.rds.amazonaws.com.CANARY.org',
    'logins.shardgrp-c1abc.eu-central-1.rds.amazonaws.com',
    'postgres://logins.c1abc.eu-central-1.rds.amazonaws.com',
  ])('is not looked for where the host is %j', async (name) => {
    const error = await findResourceId(name, REGION).catch((error: Error) => error);

    expect(error).toMatchObject({
      name: 'VizardError',
      message: expect.stringMatching(/^Host: expected [^\n]+$/),
    });
    expect(String(error)).not.toContain('CANARY');
    expect(aws.requests).toEqual([]);
  });

  it.each([
    ['DBInstanceNotFound', /got DBInstanceNotFound\w*; name a database of this account/],
    ['AccessDenied', /got AccessDenied; allow the function to describe it/],
  ])('is not there where RDS answers %s', async (error, message) => {
    aws.databases.set('DescribeDBInstances logins', { error });

    const failed = await findResourceId(host('logins.c1abc'), REGION).catch((error: Error) => error);

    expect(failed).toMatchObject({ name: 'AwsFailure', message: expect.stringMatching(message) });
    expect(String(failed)).not.toContain(SERVICE_MESSAGE);
  });

  it('is not there where RDS knows none', async () => {
    aws.databases.set('DescribeDBClusters logins', '<DBClusters></DBClusters>');

    await expect(findResourceId(host('logins.cluster-c1abc'), REGION)).rejects.toThrow(/got an unknown one/);
  });
});

describe('the function that finds a database', () => {
  it('answers the provider framework', async () => {
    aws.databases.set('DescribeDBClusters logins', CLUSTER);
    const ResourceProperties = { Host: host('logins.cluster-c1abc') };

    const { lines } = await runEntryPoint('find-database', aws.env(), [
      { RequestType: 'Create', ResourceProperties },
      { RequestType: 'Update', PhysicalResourceId: 'database', ResourceProperties },
      { RequestType: 'Delete', PhysicalResourceId: 'database', ResourceProperties: {} },
    ]);

    const found = { response: { PhysicalResourceId: 'database', Data: { ResourceId: 'cluster-LOGINS' } } };
    expect(lines).toEqual([found, found, { response: { PhysicalResourceId: 'database' } }]);
    expect(aws.requests).toHaveLength(2);
  });

  it('fails with one line', async () => {
    const { lines, output } = await runEntryPoint('find-database', aws.env(), [
      { RequestType: 'Create', ResourceProperties: { Host: 'CANARY.example.org' } },
    ]);

    expect(lines.find((line) => 'errorMessage' in line)).toMatchObject({ errorType: 'VizardError' });
    expect(output).not.toContain('CANARY');
  });
});
