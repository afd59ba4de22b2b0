import type { OutgoingMessage } from '../../bin/queue/outgoing-message.ts';
import type { Queue } from '../../bin/queue/queue.ts';
import { VizardError } from '../../lambda/errors.ts';
import type { Gauge } from './gauge.ts';
import type { SoakMessage } from './messages.ts';

/** A message that the queue has taken. */
export interface SentMessage extends SoakMessage {
  readonly messageId: string;
}

export interface Sender {
  readonly queue: Queue;
  readonly gauge: Gauge;
  /** Waits while so many messages are sent and not settled, so that it sends for as long as the workers work. */
  readonly backlog: number;
  /** Told every message that the queue has taken. */
  readonly onSent: (messages: readonly SentMessage[]) => void;
}

const GROUP = 200;

/**
 * Sends all messages.
 *
 * @throws VizardError when the queue refuses one
 */
export async function sendAll(
  { queue, gauge, backlog, onSent }: Sender,
  messages: Iterable<SoakMessage>,
  signal: AbortSignal,
): Promise<void> {
  for (const group of groupsOf(messages, GROUP)) {
    await gauge.until(() => gauge.sent - gauge.settled < backlog, signal);
    const results = await queue.send(group.map(outgoing));
    const sent = results.map((result, i) => {
      if ('refused' in result) throw new VizardError(`the queue refuses a message (${result.refused})`);
      return { ...group[i]!, messageId: result.messageId };
    });
    onSent(sent);
    gauge.addSent(sent.length);
  }
}

function outgoing({ body, attributes }: SoakMessage): OutgoingMessage {
  const text = (StringValue: string) => ({ DataType: 'String', StringValue });
  return {
    body,
    attributes: Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, text(value)])),
  };
}

function* groupsOf<T>(items: Iterable<T>, size: number): Generator<T[], void, void> {
  let group: T[] = [];
  for (const item of items) {
    group.push(item);
    if (group.length === size) {
      yield group;
      group = [];
    }
  }
  if (group.length > 0) yield group;
}
