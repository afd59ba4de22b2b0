import type { Message } from '@aws-sdk/client-sqs';
import type { Queue } from './queue.ts';

/** Parallel receive calls. */
const RECEIVERS = 5;
/** Seconds that a call waits for the first message. A stop waits for its end: an answer on its way would be lost. */
const WAIT = 1;

/**
 * Waits a moment for the first messages, then takes what is there, until there are `max` or the signal says stop.
 *
 * @param hideSeconds how long they are invisible to others. @default as the queue has it
 * @throws VizardError where the queue cannot be reached and nothing has come
 */
export async function receiveUpTo(
  queue: Queue,
  max: number,
  signal: AbortSignal,
  hideSeconds?: number,
): Promise<Message[]> {
  const messages = await queue.receive(max, WAIT, hideSeconds);
  let more = messages.length > 0;
  while (more && messages.length < max && !signal.aborted) {
    const missing = max - messages.length;
    const calls = Math.min(RECEIVERS, Math.ceil(missing / 10));
    const answers = await Promise.allSettled(
      Array.from({ length: calls }, (_, i) => queue.receive(missing - i * 10, 0, hideSeconds)),
    );
    // What came beside a call that failed is hidden from others: it is handed over, and the next receive fails by itself.
    const received = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
    more = received.length > 0 && answers.every(({ status }) => status === 'fulfilled');
    messages.push(...received);
  }
  return messages;
}
