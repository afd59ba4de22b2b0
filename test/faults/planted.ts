import type { SQSRecord } from 'aws-lambda';
import { expect } from 'vitest';
import { loginEvent, type RecordChanges, record } from '../support/records.ts';

/** Good records, every value of which would be recognised wherever it is written. */
export function planted(count: number, changes: RecordChanges = {}): SQSRecord[] {
  return Array.from({ length: count }, (_, i) =>
    plantedRecord({ ip: `2001:db8:ca7a::${i.toString(16)}` }, changes),
  );
}

/** One of them, with other values. */
export function plantedRecord(values: Record<string, unknown> = {}, changes: RecordChanges = {}): SQSRecord {
  const { user_id } = loginEvent();
  const event = {
    user_id: `CANARY-${user_id}`,
    ip: '2001:db8:ca7a::',
    device_id: `CANARY-DEVICE-${user_id}`,
  };
  return record(loginEvent({ ...event, ...values }), changes);
}

/** Fails where a planted value can be read. @param written whatever was logged, answered or thrown */
export function expectNothingPlanted(written: string): void {
  expect(/CANARY|2001:0?db8/i.test(written), 'a planted value was written').toBe(false);
}

export function redelivered(batch: readonly SQSRecord[]): SQSRecord[] {
  return batch.map((message) => ({
    ...message,
    attributes: { ...message.attributes, ApproximateReceiveCount: '2' },
  }));
}

export function idsOf(batch: readonly SQSRecord[]): string[] {
  return batch.map(({ messageId }) => messageId);
}
