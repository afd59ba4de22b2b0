import { randomUUID } from 'node:crypto';
import type { SQSRecord } from 'aws-lambda';
import type { Column, TableDeclaration } from './declaration.ts';

/** A value that each type takes, and that is nobody's: the address is of the range for documentation (RFC 5737). */
const VALUES = { text: 'p', address: '192.0.2.1', version: '0' } as const satisfies Record<
  Column['type'],
  string
>;

/** A message with an event that the declaration accepts and that was never sent. */
export function probeRecord({ columns }: TableDeclaration): SQSRecord {
  const body: Record<string, unknown> = {};
  for (const { source, type } of columns) set(body, source, VALUES[type]);
  return {
    messageId: randomUUID(),
    receiptHandle: '',
    body: JSON.stringify(body),
    attributes: { SentTimestamp: String(Date.now()) } as SQSRecord['attributes'],
    messageAttributes: {},
    md5OfBody: '',
    eventSource: 'aws:sqs',
    eventSourceARN: '',
    awsRegion: '',
  };
}

function set(body: Record<string, unknown>, path: readonly string[], value: string): void {
  let place = body;
  for (const name of path.slice(0, -1)) {
    place[name] ??= {};
    place = place[name] as Record<string, unknown>;
  }
  place[path.at(-1)!] = value;
}
