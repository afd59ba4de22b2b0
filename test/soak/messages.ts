import {
  EVENT_ID_ATTRIBUTE,
  EVENT_TIME_ATTRIBUTE,
  MILLISECONDS_A_DAY,
} from '../../lambda/events/identity.ts';
import type { Rejection } from '../../lambda/events/rejection.ts';
import { loginEvent } from '../support/records.ts';
import type { Random } from './random.ts';

/** A message, and what has to become of it. */
export interface SoakMessage {
  /** No two events have the same. It is stored as it is, so a row says what it is of, whatever became of its key. */
  readonly user: string;
  readonly body: string;
  /** Message attributes, all of them text. */
  readonly attributes: Readonly<Record<string, string>>;
  /** Why it must be refused; undefined for a good one. */
  readonly rejection: Reason | undefined;
}

export type Reason = Pick<Rejection, 'field' | 'code'>;

/** Shares of all messages. */
const BAD = 0.01;
const REPEATED = 0.01;
/** Those with an identity of their producer's, of which alone a repeat can be known. */
const IDENTIFIED = 0.2;
/** A repeat is one of so many identified messages before it. */
const REPEAT_WINDOW = 500;
/** Events happened in the last days, so that rows are of several dates. */
const DAYS = 3;

interface Defect extends Reason {
  readonly body?: (event: Record<string, unknown>) => string;
  readonly attributes?: Readonly<Record<string, string>>;
}

const changed = (changes: Record<string, unknown>) => (event: Record<string, unknown>) =>
  JSON.stringify({ ...event, ...changes });

const DEFECTS: readonly Defect[] = [
  { field: 'body', code: 'json', body: (event) => JSON.stringify(event).slice(0, -1) },
  { field: 'body', code: 'type', body: (event) => JSON.stringify([event]) },
  { field: 'user_id', code: 'missing', body: () => '{"foo":"oops"}' },
  { field: 'device_type', code: 'too_long', body: changed({ device_type: 'x'.repeat(33) }) },
  { field: 'ip', code: 'format', body: changed({ ip: '203.0.113.256' }) },
  { field: 'device_id', code: 'text', body: changed({ device_id: 'a\0b' }) },
  { field: 'app_version', code: 'range', body: changed({ app_version: '1.1000' }) },
  { field: 'sent time', code: 'format', attributes: { [EVENT_TIME_ATTRIBUTE]: 'yesterday' } },
];

/** Good events, bad ones, and events that a producer sends once more with the same id and time. */
export function* soakMessages(random: Random, count: number): Generator<SoakMessage, void, void> {
  const now = Date.now();
  const recent: SoakMessage[] = [];
  for (let i = 0; i < count; i++) {
    if (recent.length > 0 && random.chance(REPEATED)) {
      yield random.pick(recent);
      continue;
    }
    const user = `user-${i}`;
    if (random.chance(BAD)) {
      yield badMessage(user, randomEvent(random, user), random.pick(DEFECTS));
      continue;
    }
    const identified = random.chance(IDENTIFIED);
    const attributes = identified ? identity(random, i, now) : {};
    const body = JSON.stringify(randomEvent(random, user));
    const message: SoakMessage = { user, body, attributes, rejection: undefined };
    if (identified) recent.push(message);
    if (recent.length > REPEAT_WINDOW) recent.shift();
    yield message;
  }
}

function badMessage(user: string, event: Record<string, unknown>, defect: Defect): SoakMessage {
  const { field, code, body = JSON.stringify, attributes = {} } = defect;
  return { user, body: body(event), attributes, rejection: { field, code } };
}

/** Addresses are of the documentation ranges (RFC 3849, RFC 5737). */
function randomEvent(random: Random, user: string): Record<string, unknown> {
  const group = () => random.integer(0, 0xffff).toString(16);
  return loginEvent({
    user_id: user,
    ip: random.chance(0.5) ? `203.0.113.${random.integer(0, 255)}` : `2001:db8::${group()}:${group()}`,
    device_id: `device-${random.integer(0, 1_000_000)}`,
    device_type: random.pick(['android', 'ios', 'web']),
    locale: random.chance(0.3) ? null : random.pick(['RU', 'DE', 'zh-Hant-TW']),
    app_version: `${random.integer(0, 40)}.${random.integer(0, 999)}.${random.integer(0, 999)}`,
  });
}

/** An id as producers make them, a UUID or text of their own, and a time in either of its two forms. */
function identity(random: Random, i: number, now: number): Record<string, string> {
  const time = now - random.integer(0, DAYS * MILLISECONDS_A_DAY);
  const text = `order-${i}`;
  const uuid = `00000000-0000-4000-8000-${i.toString(16).padStart(12, '0')}`;
  return {
    [EVENT_ID_ATTRIBUTE]: random.chance(0.5) ? uuid : text,
    [EVENT_TIME_ATTRIBUTE]: random.chance(0.5) ? String(time) : new Date(time).toISOString(),
  };
}
