import { CustomResource, Duration } from 'aws-cdk-lib';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import type { IFunction } from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';
import { ENV } from '../lambda/names.ts';
import type { IngestDatabase } from './databases/ingest-database.ts';
import { DeploymentFunction } from './deployment-function.ts';

export interface SchemaMigrationProps {
  readonly database: IngestDatabase;
  /** Days that the table keeps, partitioned by date. @default - everything, in a plain table */
  readonly retentionDays?: number;
  /** What else the migration is told. @default {} */
  readonly environment?: Readonly<Record<string, string>>;
  /** For logs. @default - the key of CloudWatch Logs */
  readonly encryptionKey?: IKey;
}

/**
 * Brings table, index, view and roles up while the stack is deployed: at the first time, and again whenever the code or
 * the configuration of the migration has changed. When it fails, the deployment fails with its reason.
 */
export class SchemaMigration extends Construct {
  readonly function: IFunction;
  /** Where the database is, as the migration found it. */
  readonly host: string;
  readonly port: string;
  readonly database: string;

  constructor(scope: Construct, id: string, props: SchemaMigrationProps) {
    super(scope, id);
    const { database, retentionDays, environment, encryptionKey } = props;
    const migration = new DeploymentFunction(this, 'Default', {
      description: 'Vizard: brings the schema up',
      entry: 'migrate.ts',
      // An index over a large table takes its time. The provider framework waits for Lambda's most, 15 minutes.
      timeout: Duration.minutes(14),
      environment: {
        ...environment,
        ...(retentionDays !== undefined && { [ENV.retentionDays]: String(retentionDays) }),
      },
      placement: database.placement,
      encryptionKey,
    });
    this.function = migration.function.function;
    database.grantAdminister(migration.function);
    const run = new CustomResource(this, 'Run', {
      serviceToken: migration.serviceToken,
      resourceType: 'Custom::VizardSchema',
      serviceTimeout: Duration.minutes(16),
      // A version is new when code or configuration is.
      properties: { Version: migration.function.function.currentVersion.version },
    });
    if (database instanceof Construct) run.node.addDependency(database);
    this.host = run.getAttString('Host');
    this.port = run.getAttString('Port');
    this.database = run.getAttString('Database');
  }
}
