import { CfnOutput, Duration, Stack, type StackProps } from 'aws-cdk-lib';
import { Vpc } from 'aws-cdk-lib/aws-ec2';
import type { Key } from 'aws-cdk-lib/aws-kms';
import { type IQueue, Queue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import type { Settings } from './context.ts';
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
import { MaskedIngest } from './masked-ingest.ts';

export interface VizardStackProps extends StackProps {
  readonly settings: Settings;
}

/** Everything: queue, keyset, database, ingest, alarms and dashboard. */
export class VizardStack extends Stack {
  constructor(scope: Construct, id: string, { settings, ...props }: VizardStackProps) {
    super(scope, id, { description: 'Login events off a queue, masked, into Postgres', ...props });
    const encryptionKey = new CustomerKey(this, 'Key');
    const batchingWindow = Duration.seconds(settings.batchingWindowSeconds);
    const { queue, deadLetterQueue } = this.queues(settings.queue, batchingWindow, encryptionKey);
    const keyset = this.keyset(settings.keyset, encryptionKey);
    const database = this.database(settings.database, encryptionKey);
    const ingest = new MaskedIngest(this, 'Ingest', {
      queue,
      database,
      keyset,
      encryptionKey,
      batchingWindow,
      masking: settings.masking,
      batchSize: settings.batchSize,
      maxConcurrency: settings.maxConcurrency,
      memorySize: settings.memoryMb,
    });
    const watched = { ingest, queue, deadLetterQueue };
    new IngestAlarms(this, 'Alarms', {
      ...watched,
      batchingWindow,
      email: settings.alarmEmail,
      encryptionKey,
    });
    new IngestDashboard(this, 'Dashboard', { ...watched, clusterIdentifier: database.clusterIdentifier });
    new CfnOutput(this, 'QueueUrl', { value: queue.queueUrl, description: 'Send events here' });
    if (deadLetterQueue) new CfnOutput(this, 'DeadLetterQueueUrl', { value: deadLetterQueue.queueUrl });
    new CfnOutput(this, 'KeysetSecretArn', { value: keyset.secretArn, description: 'Keep it' });
    new CfnOutput(this, 'FunctionName', { value: ingest.handler.function.functionName });
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
          vpc: Vpc.fromLookup(place, 'Vpc', { vpcId: settings.vpcId }),
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
