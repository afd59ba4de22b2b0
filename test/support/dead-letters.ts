import type { Message } from '@aws-sdk/client-sqs';
import type { Queue } from '../../bin/queue/queue.ts';
import type { Cli, CliResult } from './cli.ts';
import type { TestQueue } from './queue.ts';
import { KEYSET_JSON, loginEvent } from './records.ts';

type Address = Pick<TestQueue, 'queueUrl' | 'endpointUrl'>;

/** The options by which a command finds the queue. */
export function at({ queueUrl, endpointUrl }: Address): string[] {
  return ['--queue-url', queueUrl, '--endpoint-url', endpointUrl];
}

/** A body that every rule accepts, with changes. */
export function body(changes: Record<string, unknown> = {}): string {
  return JSON.stringify(loginEvent(changes));
}

export function bodies(count: number): string[] {
  return Array.from({ length: count }, () => body());
}

/** Everything that is visible. */
export async function receiveAll(queue: Queue): Promise<Message[]> {
  const messages: Message[] = [];
  for (;;) {
    const received = await queue.receive(10, 0);
    if (received.length === 0) return messages;
    messages.push(...received);
  }
}

/** Receives everything as often as the redrive policy allows, as an outage does. @returns what went down */
export async function giveUp(queue: Queue): Promise<Message[]> {
  let last: Message[] = [];
  for (let messages = await receiveAll(queue); messages.length > 0; messages = await receiveAll(queue)) {
    await queue.hide(messages, 0);
    last = messages;
  }
  return last;
}

/** Sends a message with an attribute whose value the SDK loses. */
export async function sendUnreadable({ queueUrl, endpointUrl }: Address): Promise<void> {
  const headers = {
    'x-amz-target': 'AmazonSQS.SendMessage',
    'content-type': 'application/x-amz-json-1.0',
  };
  const attributes = '{"__proto__": {"DataType": "String", "StringValue": "x"}}';
  const { status } = await fetch(endpointUrl, {
    method: 'POST',
    headers,
    body: `{"QueueUrl": "${queueUrl}", "MessageBody": ${JSON.stringify(body())}, "MessageAttributes": ${attributes}}`,
  });
  if (status !== 200) throw new Error(`SendMessage answered ${status}`);
}

/** `vizard dead-letters redrive --json`. */
export function redrive(cli: Cli, queue: Address, ...options: string[]): Promise<CliResult> {
  return cli.run(['dead-letters', 'redrive', '--json', ...options, ...at(queue)]);
}

/** What `vizard run --json` makes of everything that is in the queue. */
export async function drain(cli: Cli, queue: Address, databaseUrl: string): Promise<unknown> {
  const options = ['--json', '--database-url', databaseUrl, ...at(queue)];
  const { json } = await cli.run(['run', ...options], { env: { MASKING_KEYSET: KEYSET_JSON } });
  return json();
}

/** A message of each kind that is rejected, and the reason that is to be found again. */
export const KINDS: readonly (readonly [string, string])[] = [
  ['{"ip": ', 'body: json'],
  ['["x"]', 'body: type'],
  [body({ user_id: undefined }), 'user_id: missing'],
  [body({ user_id: 'a\0b' }), 'user_id: text'],
  [body({ device_type: 'x'.repeat(33) }), 'device_type: too_long'],
  [body({ ip: '203.0.113.7/24' }), 'ip: format'],
  [body({ device_id: 7 }), 'device_id: type'],
  [body({ device_id: ' ' }), 'device_id: empty'],
  [body({ app_version: '1.1000' }), 'app_version: range'],
];
