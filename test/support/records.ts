import { randomUUID } from 'node:crypto';
import type { SQSMessageAttributes, SQSRecord } from 'aws-lambda';

/** A login event that every rule accepts; addresses are of the documentation range (RFC 5737). */
export function loginEvent(changes: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    user_id: randomUUID(),
    app_version: '2.3.0',
    device_type: 'android',
    ip: '203.0.113.7',
    locale: 'RU',
    device_id: '593-47-5928',
    ...changes,
  };
}

export interface RecordChanges {
  readonly messageId?: string;
  readonly sentTimestamp?: string | undefined;
  readonly receiveCount?: number;
  /** String message attributes by name. */
  readonly attributes?: Readonly<Record<string, string>>;
}

/** 14 November 2023, 22:13:20 UTC. */
export const SENT = 1_700_000_000_000;

/** An SQS record as Lambda passes it on. @param body an object becomes JSON, a string stays as it is */
export function record(body: unknown = loginEvent(), changes: RecordChanges = {}): SQSRecord {
  const { messageId = randomUUID(), receiveCount = 1, attributes = {} } = changes;
  const sentTimestamp = 'sentTimestamp' in changes ? changes.sentTimestamp : String(SENT);
  const messageAttributes: SQSMessageAttributes = {};
  for (const [name, stringValue] of Object.entries(attributes)) {
    messageAttributes[name] = { dataType: 'String', stringValue };
  }
  return {
    messageId,
    receiptHandle: 'handle',
    body: typeof body === 'string' ? body : JSON.stringify(body),
    attributes: {
      ApproximateReceiveCount: String(receiveCount),
      ...(sentTimestamp === undefined ? {} : { SentTimestamp: sentTimestamp }),
    } as SQSRecord['attributes'],
    messageAttributes,
    md5OfBody: '',
    eventSource: 'aws:sqs',
    eventSourceARN: 'arn:aws:sqs:us-east-1:000000000000:login-queue',
    awsRegion: 'us-east-1',
  };
}

/** `count` records with distinct users, addresses and devices. */
export function records(count: number, changes: RecordChanges = {}): SQSRecord[] {
  return Array.from({ length: count }, (_, i) =>
    record(
      loginEvent({
        ip: `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`,
        device_id: `device-${i}`,
        locale: i % 3 === 0 ? null : 'RU',
      }),
      changes,
    ),
  );
}

/** Key material is at least 43 characters. */
export const KEYSET_JSON = JSON.stringify({ primary: 'k1', k1: 'a'.repeat(43), k2: 'b'.repeat(43) });
