import { Rule, Schedule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { Construct } from 'constructs';
import { ENV } from '../lambda/names.ts';
import type { IngestDatabase } from './databases/ingest-database.ts';
import type { SchemaMigration } from './schema-migration.ts';
import { ServiceFunction } from './service-function.ts';
import { RETENTION_INTERVAL, RETENTION_TIMEOUT } from './timing.ts';

export interface RetentionProps {
  readonly database: IngestDatabase;
  /** Brought up before the first run. */
  readonly schema: SchemaMigration;
  /** Days before today that the table keeps. */
  readonly retentionDays: number;
  /** For logs. @default - the key of CloudWatch Logs */
  readonly encryptionKey?: IKey;
}

/**
 * Makes the partitions of the days to come and drops those that are too old, every hour. As administrator, because only the
 * owner of a table may drop it.
 */
export class Retention extends Construct {
  readonly function: ServiceFunction;

  constructor(scope: Construct, id: string, props: RetentionProps) {
    super(scope, id);
    const { database, schema, retentionDays, encryptionKey } = props;
    this.function = new ServiceFunction(this, 'Default', {
      description: 'Vizard: makes partitions ahead and drops old ones',
      entry: 'retention.ts',
      timeout: RETENTION_TIMEOUT,
      environment: { [ENV.retentionDays]: String(retentionDays) },
      placement: database.placement,
      encryptionKey,
    });
    database.grantAdminister(this.function);
    this.function.function.node.addDependency(schema);
    // What failed is made good in the next hour; a second attempt beside it would only wait for it.
    const once = { retryAttempts: 0, maxEventAge: RETENTION_INTERVAL };
    this.function.function.configureAsyncInvoke(once);
    new Rule(this, 'EveryHour', {
      description: 'Vizard: the partitions are looked at every hour',
      schedule: Schedule.rate(RETENTION_INTERVAL),
      targets: [new LambdaFunction(this.function.function, once)],
    });
  }
}
