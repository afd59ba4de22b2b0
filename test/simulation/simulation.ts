import { Duration } from 'aws-cdk-lib';
import type { Surroundings } from '../../lambda/breaker/breaker.ts';
import { MAX_RECEIVE_COUNT, RETENTION, visibilityTimeout } from '../../lib/timing.ts';
import { createRandom } from '../soak/random.ts';
import { type BreakerFigures, createBreaker } from './breaker.ts';
import { createClock, type VirtualClock } from './clock.ts';
import { createMapping, type SimulatedMapping } from './event-source-mapping.ts';
import type { Environments } from './functions.ts';
import { createQueue, type QueueFigures, type SimulatedQueue } from './queue.ts';
import { createReports, type Reports } from './reports.ts';
import { sentAt, type Traffic } from './traffic.ts';

/** What is real: the function, the probe, and the database behind them. */
export interface World {
  createEnvironments(model: Model, traffic: Traffic): Environments;
  readonly probe: Surroundings['probe'];
  /** Takes the database away, or brings it back. */
  setDatabase(isThere: boolean): Promise<void>;
  /** Milliseconds of the simulation that one of the real world counts for. */
  readonly speed: number;
}

export interface Model {
  readonly clock: VirtualClock;
  readonly queue: SimulatedQueue;
  readonly reports: Reports;
}

/** Times are milliseconds since 1970 UTC. */
export interface Scenario {
  readonly traffic: Traffic;
  /** When there is no database, in its order. */
  readonly absences: readonly Absence[];
  readonly seed: number;
  /** @default true */
  readonly hasBreaker?: boolean;
  /** What a person does. */
  readonly person?: (clock: VirtualClock, mapping: SimulatedMapping) => Promise<void>;
  /** When it ends, whatever is left. @default when every message has come to an end */
  readonly until?: number;
}

export interface Absence {
  readonly from: number;
  readonly to: number;
}

export interface Outcome extends QueueFigures, BreakerFigures {
  readonly sent: number;
  readonly deadLetters: readonly number[];
  readonly invocations: number;
  readonly environments: number;
  /** When the last message was stored that was sent before the database was back for good. */
  readonly caughtUpAt: number | undefined;
}

/** Of the stack, where nothing else is asked for. */
const WINDOW = Duration.seconds(5);
const MAPPING = { batchSize: 10_000, batchingWindow: WINDOW.toMilliseconds(), maxConcurrency: 10 } as const;
const QUEUE = {
  visibilityTimeout: visibilityTimeout(WINDOW).toMilliseconds(),
  maxReceiveCount: MAX_RECEIVE_COUNT,
  retention: RETENTION.toMilliseconds(),
} as const;

export async function simulate(world: World, scenario: Scenario): Promise<Outcome> {
  const { traffic, absences, hasBreaker = true, person, until = Number.POSITIVE_INFINITY } = scenario;
  const random = createRandom(scenario.seed);
  const clock = createClock({ start: traffic.start, speed: world.speed });
  const reports = createReports(clock);
  const queue = createQueue(traffic, QUEUE, random);
  const backForGood = absences.at(-1)?.to ?? traffic.start;
  let caughtUpAt: number | undefined;
  const watched: SimulatedQueue = {
    ...queue,
    delete(messages) {
      queue.delete(messages);
      if (messages.some((message) => sentAt(traffic, message) < backForGood)) caughtUpAt = clock.now();
    },
  };
  const environments = world.createEnvironments({ clock, queue, reports }, traffic);
  const mapping = createMapping(clock, watched, MAPPING, environments.invoke);
  const breaker = hasBreaker ? createBreaker(clock, mapping, reports, world.probe, random) : undefined;
  clock.start(() => comeAndGo(world, clock, absences));
  if (person !== undefined) clock.start(() => person(clock, mapping));
  try {
    await clock.run(() => mapping.isIdle() && (queue.isDone() || clock.now() >= until));
  } finally {
    await environments.close();
  }
  return {
    ...queue.figures(),
    ...(breaker?.figures() ?? { opened: 0, closedAt: undefined, told: [] }),
    ...environments.figures(),
    sent: traffic.count,
    deadLetters: queue.deadLetters(),
    caughtUpAt,
  };
}

async function comeAndGo(world: World, clock: VirtualClock, absences: readonly Absence[]): Promise<void> {
  for (const { from, to } of absences) {
    await clock.until(from);
    await clock.during(() => world.setDatabase(false));
    await clock.until(to);
    await clock.during(() => world.setDatabase(true));
  }
}
