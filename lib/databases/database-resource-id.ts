import { CustomResource, Duration, Stack } from 'aws-cdk-lib';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { Construct } from 'constructs';
import { acknowledge } from '../acknowledge.ts';
import { DeploymentFunction } from '../deployment-function.ts';

export interface DatabaseResourceIdProps {
  /** Host name of a database on RDS. */
  readonly host: string;
  /** For logs. @default - the key of CloudWatch Logs */
  readonly encryptionKey?: IKey;
}

/**
 * The id by which IAM policies name a database (`cluster-…`, `db-…`), found during the deployment: what is known of an
 * existing one before is only a secret, and what is in it only the migration reads.
 */
export class DatabaseResourceId extends Construct {
  readonly resourceId: string;

  constructor(scope: Construct, id: string, { host, encryptionKey }: DatabaseResourceIdProps) {
    super(scope, id);
    const lookup = new DeploymentFunction(this, 'Default', {
      description: 'Vizard: finds the resource id of the database',
      entry: 'find-database.ts',
      timeout: Duration.minutes(1),
      encryptionKey,
    });
    const resources = ['cluster', 'cluster-endpoint', 'db', 'db-proxy'].map((kind) =>
      Stack.of(this).formatArn({ service: 'rds', resource: `${kind}:*` }),
    );
    lookup.function.role.addToPolicy(
      new PolicyStatement({
        actions: [
          'rds:DescribeDBClusters',
          'rds:DescribeDBInstances',
          'rds:DescribeDBProxies',
          'rds:DescribeDBClusterEndpoints',
        ],
        resources,
      }),
    );
    const reason = 'Which database it is, is what the function finds out; it may only describe.';
    for (const arn of resources)
      acknowledge(lookup, { pack: 'solutions', rule: `IAM5[Resource::${arn}]`, reason });
    const found = new CustomResource(this, 'Found', {
      serviceToken: lookup.serviceToken,
      resourceType: 'Custom::VizardDatabaseResourceId',
      properties: { Host: host },
    });
    this.resourceId = found.getAttString('ResourceId');
  }
}
