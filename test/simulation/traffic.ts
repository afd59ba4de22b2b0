import type { SQSRecord } from 'aws-lambda';
import { loginEvent, record } from '../support/records.ts';

/** Messages by number, sent evenly. */
export interface Traffic {
  readonly count: number;
  /** Milliseconds between two of them. */
  readonly interval: number;
  /** When the first is sent, in milliseconds since 1970 UTC. */
  readonly start: number;
  /** Whether that message breaks a rule. @default none does */
  readonly isBad?: (message: number) => boolean;
}

export function sentAt({ start, interval }: Traffic, message: number): number {
  return start + Math.floor(message * interval);
}

/** The message as Lambda passes it on; it is made when it is received. */
export function messageRecord(traffic: Traffic, message: number, receiveCount: number): SQSRecord {
  const body = traffic.isBad?.(message)
    ? { foo: 'oops' }
    : loginEvent({
        user_id: `user-${message}`,
        ip: `2001:db8::${(message >>> 16).toString(16)}:${(message & 0xffff).toString(16)}`,
        device_id: `device-${message}`,
      });
  const sentTimestamp = String(sentAt(traffic, message));
  return record(body, { messageId: messageId(message), sentTimestamp, receiveCount });
}

/** A UUID version 8 that ends in the message's number. */
export function messageId(message: number): string {
  return `00000000-0000-8000-8000-${message.toString(16).padStart(12, '0')}`;
}

export function messageNumber(messageId: string): number {
  return Number.parseInt(messageId.slice(-12), 16);
}
