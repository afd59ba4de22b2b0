import { VizardError } from '../../lambda/errors.ts';
import type { QueueAddress } from '../queue/client.ts';
import { isQueueKept, keptQueue, queueAnswers, readInstance } from './instance.ts';

/** How a command is told which queue is meant. */
export interface QueueOptions {
  readonly queueUrl?: string;
  readonly endpointUrl?: string;
  readonly dataDir?: string;
}

/**
 * The queue that the options name, of a running instance or a kept one; `stop` ends what was started for it.
 *
 * @throws VizardError when there is none, or when another command has opened a kept one
 */
export async function findQueue({
  queueUrl,
  endpointUrl,
  dataDir,
}: QueueOptions): Promise<QueueAddress & { stop?: () => Promise<void> }> {
  if (queueUrl !== undefined && dataDir !== undefined)
    throw new VizardError(
      '--queue-url and --data-dir exclude each other: each names a queue; give one of them',
    );
  if (queueUrl !== undefined) return { queueUrl, endpointUrl };
  if (endpointUrl !== undefined)
    throw new VizardError('--endpoint-url needs --queue-url: there is no queue to find there');
  const running = readInstance(dataDir);
  if (running !== undefined && (await queueAnswers(running))) return running.queue;
  if (dataDir !== undefined && isQueueKept(dataDir)) return keptQueue(dataDir);
  throw new VizardError(
    dataDir === undefined
      ? 'no running instance found; start one with `npm start -- --follow`, or name --data-dir or --queue-url'
      : `no queue is kept in ${dataDir}; start an instance there with \`npm start -- --data-dir ${dataDir}\``,
  );
}
