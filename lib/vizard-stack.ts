import { CfnOutput, Duration, Stack, type StackProps, Token } from 'aws-cdk-lib';
import { type IVpc, Vpc } from 'aws-cdk-lib/aws-ec2';
import type { Key } from 'aws-cdk-lib/aws-kms';
import { type IQueue, Queue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { ROLES } from '../lambda/names.ts';
import { CircuitBreaker } from './circuit-breaker.ts';
import { ContextError, type Settings } from './context.ts';
import { CustomerKey } from './customer-key.ts';
import { AuroraDatabase } from './databases/aurora-database.ts';
import { ExistingDatabase } from './databases/existing-database.ts';
import type { IngestDatabase } from './databases/ingest-database.ts';
import { UrlDatabase } from './databases/url-database.ts';
import { existingSecret } from './existing-secret.ts';
import { IngestAlarms } from './ingest-alarms.ts';
import { IngestDashboard } from './ingest-dashboard.ts';
import { IngestQueue } from './ingest-queue.ts';
import { Keyset } from './keyset.ts';
import { KeysetPolicy, type KeysetPolicyProps } from './keyset-policy.ts';
import { MaskedIngest } from './masked-ingest.ts';
import { RecoveryKey } from './recovery-key.ts';
import { Retention, type RetentionProps } from './retention.ts';

export interface VizardStackProps extends StackProps {
  readonly settings: Settings;
}

/** Everything: queue, keyset, database, ingest, alarms and dashboard. */
export class VizardStack extends Stack {
  constructor(scope: Construct, id: string, { settings, ...props }: VizardStackProps) {
    super(scope, id, {
      description: 'Login events off a queue, masked, into Postgres',
      // The protected cluster would stay, without its instance, its network and everything that watches it.
      terminationProtection: settings.database.kind === 'aurora',
      ...props,
    });
    const encryptionKey = new CustomerKey(this, 'Key');
    const batchingWindow = Duration.seconds(settings.batchingWindowSeconds);
    const { queue, deadLetterQueue } = this.queues(settings.queue, batchingWindow, encryptionKey);
    const keyset = this.keyset(settings.keyset, encryptionKey);
    const database = this.database(settings.database, encryptionKey);
    const { recoveryKey, recoveryPublicKey } = this.recoveryKey(settings.recovery, encryptionKey);
    const ingest = new MaskedIngest(this, 'Ingest', {
      queue,
      database,
      keyset,
      encryptionKey,
      batchingWindow,
      masking: settings.masking,
      recoveryPublicKey,
      ipNetwork: settings.ipNetwork,
      retentionDays: settings.retentionDays,
      batchSize: settings.batchSize,
      maxConcurrency: settings.maxConcurrency,
      memorySize: settings.memoryMb,
    });
    const { recovery, custodian } = this.policies({ keyset, database, schema: ingest.schema });
    recoveryKey?.grantOpen(recovery);
    const retention = this.retention(settings.retentionDays, {
      database,
      schema: ingest.schema,
      encryptionKey,
    });
    const watched = { ingest, queue, deadLetterQueue, retention };
    const { topic } = new IngestAlarms(this, 'Alarms', {
      ...watched,
      batchingWindow,
      email: settings.alarmEmail,
      encryptionKey,
    });
    const breaker = new CircuitBreaker(this, 'Breaker', { ingest, topic, encryptionKey });
    new IngestDashboard(this, 'Dashboard', { ...watched, clusterIdentifier: database.clusterIdentifier });
    this.output({
      QueueUrl: queue.queueUrl,
      QueueArn: queue.queueArn,
      DeadLetterQueueUrl: deadLetterQueue?.queueUrl,
      DeadLetterQueueArn: deadLetterQueue?.queueArn,
      KeysetSecretArn: keyset.secretArn,
      KeyArn: encryptionKey.keyArn,
      RecoveryKeyArn: recoveryKey?.key.keyArn,
      RecoveryPolicyArn: recovery.managedPolicyArn,
      CustodianPolicyArn: custodian.managedPolicyArn,
      DatabaseCluster: database.clusterIdentifier,
      FunctionName: ingest.handler.function.functionName,
      MigrationFunctionName: ingest.schema.function.functionName,
      MappingId: ingest.mapping.eventSourceMappingId,
      ProbeFunctionName: ingest.probe.function.functionName,
      RetentionFunctionName: retention?.function.function.functionName,
      BreakerFunctionName: breaker.function.function.functionName,
      BreakerMemory: breaker.memory.parameterName,
      TopicArn: topic.topicArn,
    });
  }

  private output(values: Readonly<Record<string, string | undefined>>): void {
    for (const [name, value] of Object.entries(values)) {
      if (value !== undefined) new CfnOutput(this, name, { value });
    }
  }

  private existingVpc(scope: Construct, vpcId: string): IVpc {
    if (Token.isUnresolved(this.account) || Token.isUnresolved(this.region)) {
      throw new ContextError(
        'vpcId: expected credentials and a region to look it up with, got none; set AWS_PROFILE and AWS_REGION',
      );
    }
    const vpc = Vpc.fromLookup(scope, 'Vpc', { vpcId });
    if (vpc.privateSubnets.length + vpc.isolatedSubnets.length === 0) {
      throw new ContextError('vpcId: expected a VPC with private subnets, got one with public subnets only');
    }
    return vpc;
  }

  private queues(settings: Settings['queue'], batchingWindow: Duration, encryptionKey: Key) {
    if (settings.kind === 'new') return new IngestQueue(this, 'Queue', { batchingWindow, encryptionKey });
    const { queueArn, deadLetterQueueArn, keyArn } = settings;
    const place = new Construct(this, 'Queue');
    const queue = Queue.fromQueueAttributes(place, 'Queue', { queueArn, keyArn });
    const deadLetterQueue: IQueue | undefined =
      deadLetterQueueArn === undefined
        ? undefined
        : Queue.fromQueueArn(place, 'DeadLetters', deadLetterQueueArn);
    return { queue, deadLetterQueue };
  }

  private keyset(settings: Settings['keyset'], encryptionKey: Key) {
    return settings.kind === 'new'
      ? new Keyset(this, 'Keyset', { encryptionKey }).secret
      : existingSecret(this, 'Keyset', settings.secretArn, settings.keyArn);
  }

  /** In KMS where it is sealed, unless it is kept elsewhere. */
  private recoveryKey(settings: Settings['recovery'], encryptionKey: Key) {
    if (settings.kind === 'open') return {};
    if (settings.publicKey !== undefined) return { recoveryPublicKey: settings.publicKey };
    const recoveryKey = new RecoveryKey(this, 'RecoveryKey', { encryptionKey });
    return { recoveryKey, recoveryPublicKey: recoveryKey.publicKey };
  }

  /** Who recovers doesn't change keys, and who changes keys doesn't open the vault. */
  private policies(props: Pick<KeysetPolicyProps, 'keyset' | 'database' | 'schema'>) {
    const recovery = new KeysetPolicy(this, 'RecoveryPolicy', {
      ...props,
      description: 'Vizard: recover values, and look up known ones',
      databaseRole: ROLES.recovery,
    });
    const custodian = new KeysetPolicy(this, 'CustodianPolicy', {
      ...props,
      description: 'Vizard: add, change and remove keys, rewrite tokens, erase',
      databaseRole: ROLES.custodian,
      replacesKeyset: true,
    });
    return { recovery, custodian };
  }

  private retention(retentionDays: number | undefined, props: Omit<RetentionProps, 'retentionDays'>) {
    return retentionDays === undefined
      ? undefined
      : new Retention(this, 'Retention', { ...props, retentionDays });
  }

  private database(settings: Settings['database'], encryptionKey: Key): IngestDatabase {
    switch (settings.kind) {
      case 'aurora': {
        const { minAcu, maxAcu } = settings;
        return new AuroraDatabase(this, 'Database', { minAcu, maxAcu, encryptionKey });
      }
      case 'existing': {
        const place = new Construct(this, 'Given');
        return new ExistingDatabase(this, 'Database', {
          secret: existingSecret(place, 'Administrator', settings.secretArn, settings.secretKeyArn),
          host: settings.host,
          port: settings.port,
          database: settings.database,
          vpc: this.existingVpc(place, settings.vpcId),
          securityGroupId: settings.securityGroupId,
          encryptionKey,
        });
      }
      case 'url':
        return new UrlDatabase(settings.url);
      default:
        return settings satisfies never;
    }
  }
}
