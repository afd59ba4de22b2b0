import { VizardError } from '../../lambda/errors.ts';
import { embeddedQueue, isKept, readInstance } from '../local/instance.ts';
import { openLines } from '../local/lines.ts';
import { createProgress } from '../local/progress.ts';
import { sendLines } from '../local/send-lines.ts';
import { openQueue, type QueueAddress } from '../local/sqs.ts';
import { onStopRequest } from '../local/stop.ts';

export interface SendOptions {
  readonly queueUrl?: string;
  readonly endpointUrl?: string;
  readonly dataDir?: string;
  readonly maxReceiveCount: number;
  readonly json: boolean;
}

/** `vizard send FILE`: sends every line as one message to an existing queue, a running instance or a kept one. */
export async function send(file: string, options: SendOptions): Promise<number> {
  const lines = await openLines(file);
  const stop = onStopRequest({ keys: file !== '-' });
  const target = await findQueue(options);
  const queue = openQueue(target);
  try {
    const { lines: sent, refused } = await sendLines(queue, lines, createProgress(), stop.signal);
    if (options.json) process.stdout.write(`${JSON.stringify({ sent: sent.size, refused })}\n`);
    else {
      process.stdout.write(`sent ${sent.size} messages to ${target.queueUrl}\n`);
      for (const { line, code } of refused)
        process.stdout.write(`  line ${line} was refused by the queue: ${code}\n`);
    }
    return stop.exitCode() || (refused.length > 0 ? 1 : 0);
  } finally {
    queue.close();
    await target.stop?.();
    stop.release();
  }
}

async function findQueue(options: SendOptions): Promise<QueueAddress & { stop?: () => Promise<void> }> {
  const { queueUrl, endpointUrl, dataDir } = options;
  if (queueUrl !== undefined) return { queueUrl, endpointUrl };
  const running = await readInstance(dataDir);
  if (running !== undefined) return running.queue;
  if (dataDir !== undefined && isKept(dataDir)) return embeddedQueue(options);
  throw new VizardError(
    dataDir === undefined
      ? 'no running instance found; start one with `npm start -- --follow`, or name --data-dir or --queue-url'
      : `nothing is kept in ${dataDir}; start an instance there with \`npm start -- --data-dir ${dataDir}\``,
  );
}
