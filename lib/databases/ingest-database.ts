import type { IGrantable } from 'aws-cdk-lib/aws-iam';
import type { SchemaMigration } from '../schema-migration.ts';
import type { Placement, ServiceFunction } from '../service-function.ts';

/** A Postgres that events go to: how functions reach it, and as whom. */
export interface IngestDatabase {
  /** Where functions have to run to reach it; undefined: anywhere. */
  readonly placement: Placement | undefined;
  /** The Aurora cluster to show on a dashboard; undefined where the database is not ours to watch. */
  readonly clusterIdentifier: string | undefined;
  /** Lets the migration connect as administrator. */
  grantAdminister(migration: ServiceFunction): void;
  /**
   * Lets the ingest connect as the role that can insert and little else.
   *
   * @param schema the migration, which makes that role and knows where the database is
   */
  grantWrite(ingest: ServiceFunction, schema: SchemaMigration): void;
  /**
   * Lets somebody log in as a role of the database, where IAM has a say in that.
   *
   * @param schema the migration, which makes the role
   */
  grantConnect(grantee: IGrantable, role: string, schema: SchemaMigration): void;
}
