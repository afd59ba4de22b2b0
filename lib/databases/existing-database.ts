import { Stack } from 'aws-cdk-lib';
import { type IVpc, Port, SecurityGroup, SubnetType } from 'aws-cdk-lib/aws-ec2';
import { Grant, type IGrantable } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import { ENV, ROLES } from '../../lambda/names.ts';
import type { SchemaMigration } from '../schema-migration.ts';
import type { Placement, ServiceFunction } from '../service-function.ts';
import { DatabaseResourceId } from './database-resource-id.ts';
import type { IngestDatabase } from './ingest-database.ts';
import { allowHttps, functionsSecurityGroup } from './network.ts';

export interface ExistingDatabaseProps {
  /** The administrator's: username and password, and host and dbname where they are not given here. */
  readonly secret: ISecret;
  /** @default - host of the secret */
  readonly host?: string;
  /** @default 5432 */
  readonly port?: number;
  /** @default - dbname of the secret */
  readonly database?: string;
  /** Where the database is. Its private subnets need a way to Secrets Manager: a NAT gateway or an endpoint. */
  readonly vpc: IVpc;
  readonly securityGroupId: string;
  /** For logs. @default - the key of CloudWatch Logs */
  readonly encryptionKey?: IKey;
}

const POSTGRES_PORT = 5432;

/** A database on RDS or Aurora that is there, with IAM authentication enabled. */
export class ExistingDatabase extends Construct implements IngestDatabase {
  readonly placement: Placement;
  readonly clusterIdentifier = undefined;
  private readonly props: ExistingDatabaseProps;
  private resource: DatabaseResourceId | undefined;

  constructor(scope: Construct, id: string, props: ExistingDatabaseProps) {
    super(scope, id);
    this.props = props;
    const { vpc, securityGroupId, port = POSTGRES_PORT } = props;
    const functions = functionsSecurityGroup(this, vpc);
    const database = SecurityGroup.fromSecurityGroupId(this, 'Database', securityGroupId);
    database.connections.allowFrom(functions, Port.tcp(port), 'functions of Vizard');
    allowHttps(functions);
    const subnetType =
      vpc.privateSubnets.length > 0 ? SubnetType.PRIVATE_WITH_EGRESS : SubnetType.PRIVATE_ISOLATED;
    this.placement = { vpc, vpcSubnets: { subnetType }, securityGroups: [functions] };
  }

  grantAdminister(migration: ServiceFunction): void {
    migration.grantReadSecret(this.props.secret);
    const { secret, host, port = POSTGRES_PORT, database } = this.props;
    migration.addEnvironment({
      [ENV.databaseSecretArn]: secret.secretArn,
      [ENV.databasePort]: String(port),
      ...(host && { [ENV.databaseHost]: host }),
      ...(database && { [ENV.databaseName]: database }),
    });
  }

  /** Host and name come from the migration, which is the only one to read the secret. */
  grantWrite(ingest: ServiceFunction, schema: SchemaMigration): void {
    const { host, port, database } = schema;
    this.grantConnect(ingest.role, ROLES.writer, schema);
    ingest.addEnvironment({
      [ENV.databaseHost]: host,
      [ENV.databasePort]: port,
      [ENV.databaseName]: database,
      [ENV.databaseUser]: ROLES.writer,
    });
  }

  grantConnect(grantee: IGrantable, role: string, schema: SchemaMigration): void {
    const { encryptionKey } = this.props;
    this.resource ??= new DatabaseResourceId(schema, 'ResourceId', { host: schema.host, encryptionKey });
    const resource = `dbuser:${this.resource.resourceId}/${role}`;
    Grant.addToPrincipal({
      grantee,
      actions: ['rds-db:connect'],
      resourceArns: [Stack.of(this).formatArn({ service: 'rds-db', resource })],
    });
  }
}
