import type { SQSRecord } from 'aws-lambda';
import { loginEvents } from '../../../lambda/events/login-event.ts';
import { parseBatch } from '../../../lambda/events/parse.ts';
import type { FieldCode } from '../../../lambda/events/rejection.ts';
import { queueName } from '../../queue/name.ts';

/** Why a message is a dead letter, as far as the present rules tell. Never a value. */
export interface Reason {
  /** Path of the field; null where no field is to blame. */
  readonly field: string | null;
  /** A FieldCode, `storable` or `other_queue`. */
  readonly code: string;
}

/** The rules accept it now: it failed in every receive, as in an outage, or the database refused the row. */
export const STORABLE = 'storable';
/** It came from another queue that shares the dead-letter queue, so it is not ours to judge. */
const OTHER_QUEUE = 'other_queue';

/** Reasons by which dead letters can be chosen. */
export const REASON_CODES: readonly string[] = Object.keys({
  [STORABLE]: true,
  json: true,
  missing: true,
  type: true,
  empty: true,
  text: true,
  too_long: true,
  format: true,
  range: true,
} satisfies Record<FieldCode | typeof STORABLE, true>);

/** @param queue name of the queue whose dead letters are meant */
export function reasonOf(record: SQSRecord, queue: string): Reason {
  const source = record.attributes.DeadLetterQueueSourceArn;
  if (source !== undefined && queueName(source) !== queue) return { field: null, code: OTHER_QUEUE };
  const [chunk] = parseBatch(loginEvents, [record]);
  const [rejection] = chunk!.rejected;
  if (rejection === undefined) return { field: null, code: STORABLE };
  const { field, code } = rejection;
  return { field, code };
}

/** Dead letters of one reason. */
export interface ReasonCount extends Reason {
  readonly count: number;
  /** When the oldest of them was sent, in milliseconds since 1970; undefined where none says when. */
  readonly oldest: number | undefined;
}

/** Counts dead letters by reason. */
export class Tally {
  readonly #counts = new Map<string, ReasonCount>();

  add({ field, code }: Reason, sentAt: number | undefined): void {
    const key = `${field} ${code}`;
    const { count = 0, oldest } = this.#counts.get(key) ?? {};
    this.#counts.set(key, { field, code, count: count + 1, oldest: earlier(oldest, sentAt) });
  }

  /** The most frequent first. */
  reasons(): ReasonCount[] {
    return [...this.#counts.values()].sort((a, b) => b.count - a.count);
  }
}

export function earlier(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? (a ?? b) : Math.min(a, b);
}
