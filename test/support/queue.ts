import { CreateQueueCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterEach } from 'vitest';
import { startQueueServer } from '../../bin/local/queue-server.ts';
import { createQueueWithDeadLetters, openQueue, type Queue } from '../../bin/queue/queue.ts';

export interface TestQueue extends Queue {
  readonly queueUrl: string;
  readonly endpointUrl: string;
  /** Absent where the queue has none. */
  readonly deadLetters?: Queue;
}

export interface TestQueueOptions {
  /** @default 2; undefined makes a queue without a dead-letter queue */
  readonly maxReceiveCount?: number | undefined;
  /** @default 60 */
  readonly visibilityTimeoutSeconds?: number;
}

const open: (() => void | Promise<void>)[] = [];

/** A queue on an SQS endpoint of its own, gone after the test. */
export function useQueues(): (options?: TestQueueOptions) => Promise<TestQueue> {
  afterEach(async () => {
    for (const close of open.splice(0).reverse()) await close();
  });
  const opened = (queueUrl: string, endpointUrl: string) => {
    const queue = openQueue({ queueUrl, endpointUrl });
    open.push(() => queue.close());
    return queue;
  };
  return async (options = {}) => {
    const { maxReceiveCount, visibilityTimeoutSeconds = 60 } = { maxReceiveCount: 2, ...options };
    const { endpointUrl, stop } = await startQueueServer();
    open.push(stop);
    if (maxReceiveCount === undefined) {
      const queueUrl = await createPlainQueue(endpointUrl);
      return { ...opened(queueUrl, endpointUrl), queueUrl, endpointUrl };
    }
    const settings = { maxReceiveCount, visibilityTimeoutSeconds };
    const queueUrl = await createQueueWithDeadLetters(endpointUrl, 'login-queue', settings);
    const deadLetters = opened(`${queueUrl}-dlq`, endpointUrl);
    return { ...opened(queueUrl, endpointUrl), queueUrl, endpointUrl, deadLetters };
  };
}

async function createPlainQueue(endpoint: string): Promise<string> {
  const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
  const client = new SQSClient({ endpoint, region: 'us-east-1', credentials });
  const { QueueUrl } = await client.send(new CreateQueueCommand({ QueueName: 'login-queue' }));
  client.destroy();
  return QueueUrl!;
}
