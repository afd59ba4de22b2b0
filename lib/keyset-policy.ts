import { Stack } from 'aws-cdk-lib';
import { ManagedPolicy, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager';
import type { Construct } from 'constructs';
import type { IngestDatabase } from './databases/ingest-database.ts';
import type { SchemaMigration } from './schema-migration.ts';

export interface KeysetPolicyProps {
  readonly description: string;
  readonly keyset: ISecret;
  /** Whether the keyset may be replaced as well as read. @default false */
  readonly replacesKeyset?: boolean;
  readonly database: IngestDatabase;
  /** Makes the role. */
  readonly schema: SchemaMigration;
  /** In Postgres, to log in as. */
  readonly databaseRole: string;
}

/**
 * What a person has to be allowed who works with the keyset, by a role of their own that an administrator attaches this
 * to: nobody has it from the start. The keyset's key can be used through Secrets Manager only.
 */
export class KeysetPolicy extends ManagedPolicy {
  constructor(scope: Construct, id: string, props: KeysetPolicyProps) {
    const { description, keyset, replacesKeyset = false, database, schema, databaseRole } = props;
    // Never to be changed: IAM can't alter a description, so CloudFormation would make another policy, and detach people.
    super(scope, id, { description });
    this.addStatements(
      new PolicyStatement({
        actions: [
          'secretsmanager:GetSecretValue',
          ...(replacesKeyset ? ['secretsmanager:PutSecretValue'] : []),
        ],
        resources: [keyset.secretArn],
      }),
    );
    if (keyset.encryptionKey !== undefined) {
      const service = `secretsmanager.${Stack.of(this).region}.amazonaws.com`;
      this.addStatements(
        new PolicyStatement({
          actions: ['kms:Decrypt', ...(replacesKeyset ? ['kms:GenerateDataKey'] : [])],
          resources: [keyset.encryptionKey.keyArn],
          conditions: { StringEquals: { 'kms:ViaService': service } },
        }),
      );
    }
    database.grantConnect(this, databaseRole, schema);
  }
}
