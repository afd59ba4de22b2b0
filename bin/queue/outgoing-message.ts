import type { MessageAttributeValue } from '@aws-sdk/client-sqs';

/** A message to be sent. */
export interface OutgoingMessage {
  readonly body: string;
  readonly attributes?: Readonly<Record<string, MessageAttributeValue>>;
}

/** SQS takes and gives at most this many messages a call. */
export const CALL_SIZE = 10;
/** SQS takes at most this many bytes a call, and so a message. */
const CALL_BYTES = 1024 * 1024;
const MAX_ATTRIBUTES = 10;

/** Why SQS would not take the message as it is; undefined where nothing speaks against it. */
export function refusalOf(message: OutgoingMessage): 'too_long' | 'too_many_attributes' | undefined {
  if (bytesOf(message) > CALL_BYTES) return 'too_long';
  return Object.keys(message.attributes ?? {}).length > MAX_ATTRIBUTES ? 'too_many_attributes' : undefined;
}

/** Splits messages so that each call stays within SQS's limits of count and bytes. */
export function callsOf<M extends OutgoingMessage>(messages: readonly M[]): M[][] {
  const calls: M[][] = [];
  let bytes = 0;
  for (const message of messages) {
    const size = bytesOf(message);
    const last = calls.at(-1);
    if (last === undefined || last.length === CALL_SIZE || bytes + size > CALL_BYTES) {
      calls.push([message]);
      bytes = size;
    } else {
      last.push(message);
      bytes += size;
    }
  }
  return calls;
}

/** Body, and names, types and values of the attributes, as SQS counts them. */
function bytesOf({ body, attributes = {} }: OutgoingMessage): number {
  let bytes = Buffer.byteLength(body);
  for (const [name, { DataType = '', StringValue = '', BinaryValue }] of Object.entries(attributes)) {
    bytes += Buffer.byteLength(name) + Buffer.byteLength(DataType) + Buffer.byteLength(StringValue);
    bytes += BinaryValue?.length ?? 0;
  }
  return bytes;
}
