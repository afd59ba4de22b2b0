import { Duration, Names, RemovalPolicy } from 'aws-cdk-lib';
import { Port, SubnetType } from 'aws-cdk-lib/aws-ec2';
import type { IGrantable } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import {
  AuroraPostgresEngineVersion,
  ClusterInstance,
  Credentials,
  DatabaseCluster,
  DatabaseClusterEngine,
} from 'aws-cdk-lib/aws-rds';
import { Construct } from 'constructs';
import { ENV, ROLES } from '../../lambda/names.ts';
import { acknowledge } from '../acknowledge.ts';
import type { Placement, ServiceFunction } from '../service-function.ts';
import type { IngestDatabase } from './ingest-database.ts';
import { Network } from './network.ts';

export interface AuroraDatabaseProps {
  /** Aurora capacity units, 0-256 in halves; 0 lets the cluster pause when idle. @default 0.5 */
  readonly minAcu?: number;
  /** Aurora capacity units, 1-256 in halves. @default 8 */
  readonly maxAcu?: number;
  /** For storage, backups, insights and the administrator's secret. @default - the account's key for RDS */
  readonly encryptionKey?: IKey;
}

const DATABASE_NAME = 'vizard';
const POSTGRES_PORT = 5432;

/**
 * A new Aurora Serverless v2 cluster with PostgreSQL in a network of its own. RDS keeps and rotates the administrator's
 * password; functions log in by IAM authentication. The cluster is protected from deletion, and leaves a snapshot.
 */
export class AuroraDatabase extends Construct implements IngestDatabase {
  readonly cluster: DatabaseCluster;
  readonly placement: Placement;
  readonly clusterIdentifier: string;

  constructor(scope: Construct, id: string, props: AuroraDatabaseProps = {}) {
    super(scope, id);
    const { minAcu = 0.5, maxAcu = 8, encryptionKey } = props;
    const network = new Network(this, 'Network', { encryptionKey });
    this.placement = network.placement;
    // RDS would make the log group itself, unencrypted and for ever, so it is there first, and the cluster has a name.
    const clusterIdentifier = Names.uniqueResourceName(this, { maxLength: 60, separator: '-' }).toLowerCase();
    const logs = new LogGroup(this, 'Logs', {
      logGroupName: `/aws/rds/cluster/${clusterIdentifier}/postgresql`,
      retention: RetentionDays.THREE_MONTHS,
      removalPolicy: RemovalPolicy.DESTROY,
      encryptionKey,
    });
    this.cluster = new DatabaseCluster(this, 'Cluster', {
      clusterIdentifier,
      cloudwatchLogsExports: ['postgresql'],
      monitoringInterval: Duration.minutes(1),
      engine: DatabaseClusterEngine.auroraPostgres({ version: AuroraPostgresEngineVersion.VER_17_7 }),
      defaultDatabaseName: DATABASE_NAME,
      credentials: Credentials.fromUsername('vizard_admin', { encryptionKey }),
      manageMasterUserPassword: true,
      iamAuthentication: true,
      // The way in for people: nothing else reaches these subnets.
      enableDataApi: true,
      writer: ClusterInstance.serverlessV2('Writer', {
        enablePerformanceInsights: true,
        performanceInsightEncryptionKey: encryptionKey,
      }),
      serverlessV2MinCapacity: minAcu,
      serverlessV2MaxCapacity: maxAcu,
      vpc: network.vpc,
      vpcSubnets: { subnetType: SubnetType.PRIVATE_ISOLATED },
      storageEncrypted: true,
      storageEncryptionKey: encryptionKey,
      backup: { retention: Duration.days(14) },
      copyTagsToSnapshot: true,
      deletionProtection: true,
      removalPolicy: RemovalPolicy.SNAPSHOT,
      parameters: {
        'rds.force_ssl': '1',
        // Details and contexts of errors quote rows, and user_id stands there as it came.
        log_error_verbosity: 'terse',
        log_min_error_statement: 'panic',
      },
    });
    this.cluster.node.addDependency(logs);
    this.clusterIdentifier = this.cluster.clusterIdentifier;
    for (const group of this.placement.securityGroups) {
      this.cluster.connections.allowFrom(group, Port.tcp(POSTGRES_PORT), 'the functions');
    }
    this.acknowledgeFindings();
  }

  grantAdminister(migration: ServiceFunction): void {
    const secret = this.cluster.secret!;
    migration.grantReadSecret(secret);
    migration.addEnvironment({ [ENV.databaseSecretArn]: secret.secretArn, ...this.address() });
  }

  grantWrite(ingest: ServiceFunction): void {
    this.grantConnect(ingest.role, ROLES.writer);
    ingest.addEnvironment({ ...this.address(), [ENV.databaseUser]: ROLES.writer });
  }

  grantConnect(grantee: IGrantable, role: string): void {
    this.cluster.grantConnect(grantee, role);
  }

  private address(): Record<string, string> {
    const { hostname, port } = this.cluster.clusterEndpoint;
    return {
      [ENV.databaseHost]: hostname,
      [ENV.databasePort]: String(port),
      [ENV.databaseName]: DATABASE_NAME,
    };
  }

  private acknowledgeFindings(): void {
    acknowledge(
      this,
      {
        pack: 'nist',
        rule: 'RDSInBackupPlan',
        reason:
          'Aurora keeps continuous backups of its own for 14 days, and a snapshot when the cluster goes.',
      },
      {
        pack: 'solutions',
        rule: 'IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole]',
        reason: 'The policy that RDS itself asks for to publish enhanced monitoring.',
      },
    );
  }
}
