import { ListDeadLetterSourceQueuesCommand } from '@aws-sdk/client-sqs';
import { VizardError } from '../../lambda/errors.ts';
import { type QueueAddress, queueClient } from './client.ts';
import { queueName } from './name.ts';
import { openQueue } from './queue.ts';

/** A queue, and the one that its redrive policy moves failed messages to. */
export interface QueueWithDeadLetters {
  readonly source: QueueAddress;
  readonly deadLetters: QueueAddress;
}

/**
 * The dead-letter queue of a queue. A dead-letter queue may be named itself where only one queue feeds it.
 *
 * @throws VizardError where it is not clear which two queues are meant, or where they are not fit to be looked through
 */
export async function findDeadLetterQueue(named: QueueAddress): Promise<QueueWithDeadLetters> {
  if (queueName(named.queueUrl).endsWith('.fifo')) {
    throw new VizardError(
      `the queue ${named.queueUrl} is a FIFO queue: expected a standard queue, which these commands are for`,
    );
  }
  const target = await deadLetterQueueOf(named);
  if (target !== undefined) {
    const deadLetters = beside(named, target);
    await refuseOwnPolicy(deadLetters);
    return { source: named, deadLetters };
  }
  const sources = await sourcesOf(named);
  if (sources.length === 1) return { source: beside(named, sources[0]!), deadLetters: named };
  throw new VizardError(
    sources.length === 0
      ? `the queue ${named.queueUrl} has no dead-letter queue: expected a redrive policy, got none; name the queue that events are sent to`
      : `the queue ${named.queueUrl} is the dead-letter queue of several (${sources.join(', ')}); name one of them with --queue-url`,
  );
}

/** To look is to receive, so each look would bring the messages nearer to where we would not find them. */
async function refuseOwnPolicy(deadLetters: QueueAddress): Promise<void> {
  const target = await deadLetterQueueOf(deadLetters);
  if (target === undefined) return;
  throw new VizardError(
    `the dead-letter queue ${deadLetters.queueUrl} has a redrive policy of its own: expected none, got ${target}, to which looking would move its messages; take the policy away, or name ${queueName(deadLetters.queueUrl)} with --queue-url to look into ${target}`,
  );
}

async function deadLetterQueueOf(address: QueueAddress): Promise<string | undefined> {
  const queue = openQueue(address);
  try {
    return (await queue.state()).deadLetterQueue;
  } finally {
    queue.close();
  }
}

/** Names of the queues whose dead-letter queue this is, as far as we may know. */
async function sourcesOf(address: QueueAddress): Promise<string[]> {
  const client = queueClient(address);
  try {
    const { queueUrls = [] } = await client.send(
      new ListDeadLetterSourceQueuesCommand({ QueueUrl: address.queueUrl }),
    );
    return queueUrls.map(queueName);
  } catch {
    // Not every role may ask, nor does every emulator answer; the queue itself has just been reached.
    return [];
  } finally {
    client.destroy();
  }
}

/** A queue and its dead-letter queue are of one account and one region, so their URLs differ in the name alone. */
function beside({ queueUrl, endpointUrl }: QueueAddress, name: string): QueueAddress {
  return { queueUrl: queueUrl.replace(/[^/]+\/?$/, name), endpointUrl };
}
