import { ASSUMED, HOURS_OF_MONTH, PRICE, SECONDS_OF_MONTH } from './scaling-aws.ts';
import type { Flow, Load } from './scaling-model.ts';

/** US dollars a month at a steady rate; what a deployment costs when idle is in the README. */
export interface Cost {
  readonly sqs: number;
  readonly lambda: number;
  readonly capacity: number;
  readonly io: number;
  /** A month's events, for each month that they are kept. */
  readonly storage: number;
  readonly together: number;
  /** Of it all, for a million events. */
  readonly million: number;
}

export interface Plan {
  readonly flow: Flow;
  readonly load: Load;
  readonly memoryMb: number;
  /** Capacity units, on average. */
  readonly acu: number;
  /** Aurora I/O-Optimized instead of Standard. */
  readonly ioOptimized: boolean;
}

export function costOf({ flow, load, memoryMb, acu, ioOptimized }: Plan): Cost {
  const price = ioOptimized ? { ...PRICE.ioOptimized, io: 0 } : PRICE;
  const sqs = flow.rate * SECONDS_OF_MONTH * callsOfEvent(flow) * PRICE.sqsCall;
  const lambda = flow.invocations * SECONDS_OF_MONTH * invocationCost(flow.duration, memoryMb);
  const capacity = acu * HOURS_OF_MONTH * price.acuHour;
  const io = load.writes * SECONDS_OF_MONTH * price.io;
  const storage = ((load.growth * HOURS_OF_MONTH) / 24 / 1e9) * price.gbMonth;
  const together = sqs + lambda + capacity + io + storage;
  const million = together / ((flow.rate * SECONDS_OF_MONTH) / 1e6);
  return { sqs, lambda, capacity, io, storage, together, million };
}

/** Sent and deleted ten a call; received as many a call as have arrived since the last, which waits for one at least. */
function callsOfEvent({ rate, pollers }: Flow): number {
  const received = Math.min(10, Math.max(1, rate / pollers / ASSUMED.callsOfPoller));
  return 1 / 10 + 1 / received + 1 / 10;
}

/** @param duration in milliseconds, which Lambda bills in whole ones */
export function invocationCost(duration: number, memoryMb: number): number {
  const gbSeconds = (Math.ceil(duration) / 1_000) * (memoryMb / 1_024);
  return PRICE.lambdaRequest + gbSeconds * PRICE.lambdaGbSecond;
}
