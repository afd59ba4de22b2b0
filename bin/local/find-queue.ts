import { VizardError } from '../../lambda/errors.ts';
import type { QueueAddress } from '../queue/client.ts';
import { isKept, keptQueue, readInstance } from './instance.ts';

/** How a command is told which queue is meant. */
export interface QueueOptions {
  readonly queueUrl?: string;
  readonly endpointUrl?: string;
  readonly dataDir?: string;
}

/** The queue that the options name, of a running instance or a kept one; `stop` ends what was started for it. */
export async function findQueue({
  queueUrl,
  endpointUrl,
  dataDir,
}: QueueOptions): Promise<QueueAddress & { stop?: () => Promise<void> }> {
  if (queueUrl !== undefined) return { queueUrl, endpointUrl };
  if (endpointUrl !== undefined)
    throw new VizardError('--endpoint-url needs --queue-url: there is no queue to find there');
  const running = await readInstance(dataDir);
  if (running !== undefined) return running.queue;
  if (dataDir !== undefined && isKept(dataDir)) return keptQueue(dataDir);
  throw new VizardError(
    dataDir === undefined
      ? 'no running instance found; start one with `npm start -- --follow`, or name --data-dir or --queue-url'
      : `nothing is kept in ${dataDir}; start an instance there with \`npm start -- --data-dir ${dataDir}\``,
  );
}
