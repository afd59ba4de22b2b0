import { type Duration, RemovalPolicy } from 'aws-cdk-lib';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { DEAD_LETTER_RETENTION, MAX_RECEIVE_COUNT, RETENTION, visibilityTimeout } from './timing.ts';

export interface IngestQueueProps {
  /** How long the event source mapping collects a batch; the visibility timeout allows for it. */
  readonly batchingWindow: Duration;
  /** @default - SQS's own key */
  readonly encryptionKey?: IKey;
}

/**
 * The queue that producers send to, and its dead-letter queue. Both are retained when the stack goes: a message that
 * was accepted is not to be lost because somebody removed its reader. (A deployment that fails at first leaves none.)
 */
export class IngestQueue extends Construct {
  readonly queue: Queue;
  readonly deadLetterQueue: Queue;

  constructor(scope: Construct, id: string, { batchingWindow, encryptionKey }: IngestQueueProps) {
    super(scope, id);
    const shared = {
      enforceSSL: true,
      removalPolicy: RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
      ...(encryptionKey
        ? { encryption: QueueEncryption.KMS, encryptionMasterKey: encryptionKey }
        : { encryption: QueueEncryption.SQS_MANAGED }),
    };
    this.deadLetterQueue = new Queue(this, 'DeadLetters', {
      ...shared,
      retentionPeriod: DEAD_LETTER_RETENTION,
    });
    this.queue = new Queue(this, 'Queue', {
      ...shared,
      retentionPeriod: RETENTION,
      visibilityTimeout: visibilityTimeout(batchingWindow),
      deadLetterQueue: { queue: this.deadLetterQueue, maxReceiveCount: MAX_RECEIVE_COUNT },
    });
  }
}
