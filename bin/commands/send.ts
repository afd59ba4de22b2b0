import { findQueue, type QueueOptions } from '../local/find-queue.ts';
import { openLines } from '../local/lines.ts';
import { createProgress } from '../local/progress.ts';
import { sendLines } from '../local/send-lines.ts';
import { onStopRequest } from '../local/stop.ts';
import { openQueue } from '../queue/queue.ts';

export interface SendOptions extends QueueOptions {
  readonly json: boolean;
}

/** `vizard send FILE`: sends every line as one message to an existing queue, a running instance or a kept one. */
export async function send(file: string, options: SendOptions): Promise<number> {
  await using lines = await openLines(file);
  const target = await findQueue(options);
  const queue = openQueue(target);
  const stop = onStopRequest({ keys: file !== '-' });
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
