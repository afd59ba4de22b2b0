import {
  DescribeDBClusterEndpointsCommand,
  DescribeDBClustersCommand,
  DescribeDBInstancesCommand,
  DescribeDBProxiesCommand,
  RDSClient,
} from '@aws-sdk/client-rds';
import { AwsFailure, VizardError } from '../errors.ts';
import { awsErrorCode, CLIENT_SETTINGS } from './sdk.ts';

/** What an endpoint leads to, and what it is called. */
interface Endpoint {
  readonly kind: 'cluster' | 'custom' | 'proxy' | 'instance';
  readonly name: string;
}

/**
 * The resource id that the IAM action rds-db:connect needs for a database, by its host name. Aurora and Multi-AZ clusters
 * have one for all of their instances; a proxy has one of its own.
 *
 * @see https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/UsingWithRDS.IAMDBAuth.IAMPolicy.html
 * @returns such as `cluster-…`, `db-…` or `prx-…`
 * @throws VizardError where the host is not RDS's or RDS does not know it
 */
export async function findResourceId(host: unknown, region: string): Promise<string> {
  const { kind, name } = parseEndpoint(host);
  const client = new RDSClient({ region, ...CLIENT_SETTINGS });
  try {
    const id = await LOOKUPS[kind](client, name);
    if (id !== undefined) return id;
  } catch (error) {
    const code = awsErrorCode(error);
    throw new AwsFailure(
      `Host: expected a database that RDS describes, got ${code}; ${adviceFor(code)}`,
      code,
    );
  } finally {
    client.destroy();
  }
  throw new VizardError(
    `Host: expected a ${kind} of this account and region, got an unknown one; name another`,
  );
}

const LOOKUPS = {
  cluster: clusterId,
  custom: customEndpointId,
  proxy: proxyId,
  instance: instanceId,
} as const satisfies Record<
  Endpoint['kind'],
  (client: RDSClient, name: string) => Promise<string | undefined>
>;

/** `<name>.[cluster-|cluster-ro-|cluster-custom-|proxy-]<id>.<region>.rds.amazonaws.com`; in China rds stands before the region. */
function parseEndpoint(host: unknown): Endpoint {
  if (typeof host !== 'string') {
    throw new VizardError(`Host: expected the host name of a database on RDS, got ${typeof host}; set it`);
  }
  const match =
    /^([a-z][a-z0-9-]*)\.((?:[a-z]+-)*)[a-z0-9]+\.(?:[a-z0-9-]+\.rds|rds\.[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?$/.exec(
      host.toLowerCase(),
    );
  const kind = match === null ? undefined : KINDS[match[2]!];
  if (kind === undefined) {
    throw new VizardError(
      `Host: expected one like name.cluster-id.eu-central-1.rds.amazonaws.com, got ${host.length} other characters; IAM authentication needs a database on RDS and its own host name`,
    );
  }
  return { kind, name: match![1]! };
}

const KINDS: Readonly<Record<string, Endpoint['kind']>> = {
  '': 'instance',
  'cluster-': 'cluster',
  'cluster-ro-': 'cluster',
  'cluster-custom-': 'custom',
  'proxy-': 'proxy',
};

async function clusterId(client: RDSClient, name: string): Promise<string | undefined> {
  const { DBClusters } = await client.send(new DescribeDBClustersCommand({ DBClusterIdentifier: name }));
  return DBClusters?.[0]?.DbClusterResourceId;
}

async function customEndpointId(client: RDSClient, name: string): Promise<string | undefined> {
  const { DBClusterEndpoints } = await client.send(
    new DescribeDBClusterEndpointsCommand({ DBClusterEndpointIdentifier: name }),
  );
  const cluster = DBClusterEndpoints?.[0]?.DBClusterIdentifier;
  return cluster === undefined ? undefined : clusterId(client, cluster);
}

/** The last part of `arn:aws:rds:<region>:<account>:db-proxy:prx-…`. */
async function proxyId(client: RDSClient, name: string): Promise<string | undefined> {
  const { DBProxies } = await client.send(new DescribeDBProxiesCommand({ DBProxyName: name }));
  return DBProxies?.[0]?.DBProxyArn?.split(':').at(-1);
}

async function instanceId(client: RDSClient, name: string): Promise<string | undefined> {
  const { DBInstances } = await client.send(new DescribeDBInstancesCommand({ DBInstanceIdentifier: name }));
  const [instance] = DBInstances ?? [];
  const cluster = instance?.DBClusterIdentifier;
  return cluster === undefined ? instance?.DbiResourceId : clusterId(client, cluster);
}

function adviceFor(code: string): string {
  if (code.startsWith('AccessDenied')) return 'allow the function to describe it';
  if (code.includes('NotFound')) return 'name a database of this account and region';
  return 'check that the function reaches RDS';
}
