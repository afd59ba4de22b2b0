import type { Random } from '../soak/random.ts';
import { createLine } from './line.ts';
import { sentAt, type Traffic } from './traffic.ts';

/** A standard queue as SQS has it, with a dead-letter queue. Messages are numbers, and all of them are known before. */
export interface SimulatedQueue {
  /** Hands out messages that are visible, and hides them for the visibility timeout. */
  receive(most: number, now: number): number[];
  /** How often it has been handed out. */
  receiveCount(message: number): number;
  delete(messages: readonly number[]): void;
  /** Messages that could be received. */
  visible(now: number): number;
  /** Every message was sent, and has come to an end. */
  isDone(): boolean;
  figures(): QueueFigures;
  /** By number. */
  deadLetters(): number[];
}

export interface QueueFigures {
  readonly deleted: number;
  readonly deadLettered: number;
  /** Lost to the retention. */
  readonly expired: number;
  readonly mostReceives: number;
  readonly mostInFlight: number;
}

export interface QueueSettings {
  /** Milliseconds. */
  readonly visibilityTimeout: number;
  readonly maxReceiveCount: number;
  /** Milliseconds. */
  readonly retention: number;
}

/** Nothing is handed out while so many are in flight. */
const MOST_IN_FLIGHT = 120_000;
/** A standard queue promises no order. Mostly the oldest come first: those that come again, and any of the first so many. */
const OLD_FIRST = 0.9;
const DISORDER = 50;

const STATE = { waiting: 0, inFlight: 1, deleted: 2, deadLettered: 3, expired: 4 } as const;

export function createQueue(traffic: Traffic, settings: QueueSettings, random: Random): SimulatedQueue {
  const { count } = traffic;
  const state = new Uint8Array(count);
  const receives = new Uint8Array(count);
  const fresh = createLine(count, DISORDER, random);
  const again = createLine(count, DISORDER, random);
  /** In the order in which they become visible again, because all are hidden for the same time. */
  const hidden: { readonly until: number; readonly messages: readonly number[] }[] = [];
  const ended = { deleted: 0, deadLettered: 0, expired: 0 };
  let sent = 0;
  let inFlight = 0;
  let mostInFlight = 0;

  /** What was sent, and what is visible again. */
  function catchUp(now: number): void {
    for (; sent < count && sentAt(traffic, sent) <= now; sent++) fresh.add(sent);
    while (hidden.length > 0 && hidden[0]!.until <= now) {
      for (const message of hidden.shift()!.messages) {
        if (state[message] !== STATE.inFlight) continue;
        state[message] = STATE.waiting;
        inFlight--;
        again.add(message);
      }
    }
  }

  function next(): number | undefined {
    const [first, second] = random.chance(OLD_FIRST) ? [again, fresh] : [fresh, again];
    return first.take() ?? second.take();
  }

  function end(message: number, how: keyof typeof ended): void {
    state[message] = STATE[how];
    ended[how]++;
  }

  /** @returns whether it is handed out */
  function handOut(message: number, now: number): boolean {
    if (now - sentAt(traffic, message) >= settings.retention) end(message, 'expired');
    else if (receives[message] === settings.maxReceiveCount) end(message, 'deadLettered');
    else {
      state[message] = STATE.inFlight;
      receives[message]!++;
      return true;
    }
    return false;
  }

  return {
    receive(most, now) {
      catchUp(now);
      const messages: number[] = [];
      while (messages.length < most && inFlight + messages.length < MOST_IN_FLIGHT) {
        const message = next();
        if (message === undefined) break;
        if (handOut(message, now)) messages.push(message);
      }
      if (messages.length > 0) hidden.push({ until: now + settings.visibilityTimeout, messages });
      inFlight += messages.length;
      mostInFlight = Math.max(mostInFlight, inFlight);
      return messages;
    },
    receiveCount: (message) => receives[message]!,
    delete(messages) {
      for (const message of messages) {
        if (state[message] !== STATE.inFlight) throw new Error('deleted after its visibility timeout');
        end(message, 'deleted');
        inFlight--;
      }
    },
    visible(now) {
      catchUp(now);
      return fresh.length() + again.length();
    },
    isDone: () => ended.deleted + ended.deadLettered + ended.expired === count,
    figures: () => ({
      ...ended,
      mostReceives: receives.reduce((most, value) => Math.max(most, value), 0),
      mostInFlight,
    }),
    deadLetters: () => [...state.keys()].filter((message) => state[message] === STATE.deadLettered),
  };
}
