import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { loginEvents } from '../../lambda/events/login-event.ts';
import type { Behaviour } from '../support/proxy.ts';
import type { Random } from './random.ts';
import type { Stage } from './stage.ts';

/** One planned fault. */
export interface Fault {
  readonly kind: FaultKind;
  /** It hits when so many messages are settled. */
  readonly at: number;
  /** For how long; 0 where it is over at once. */
  readonly milliseconds: number;
  /** Which worker, where it hits one. */
  readonly worker: number;
  /** Where it hits in the middle of an invocation: milliseconds after its begin. */
  readonly delay: number;
}

export type FaultKind = keyof typeof FAULTS;

interface FaultType {
  /** Faults of one target wait for each other, those of different targets may meet. */
  readonly target: 'worker' | 'way' | 'server' | 'queue';
  /** Shortest and longest, in milliseconds. @default over at once */
  readonly lasts?: readonly [number, number];
  /** @returns what it met, where that is worth saying */
  readonly hit: (stage: Stage, fault: Fault, signal: AbortSignal) => Promise<string | undefined>;
}

/** Outages are shorter and longer than the timeout of the function. */
const OUTAGE = [1_000, 6_500] as const;

/** About as long as an invocation takes while nothing is broken. Milliseconds. */
const LONGEST_DELAY = 60;

const FAULTS = {
  'worker killed': { target: 'worker', hit: killWorker },
  'answer lost': { target: 'worker', hit: loseAnswer },
  // Now and then for longer than its messages are invisible.
  'worker frozen': { target: 'worker', lasts: [1_000, 14_000], hit: freezeWorker },
  'connections cut': { target: 'way', hit: async ({ proxy }) => `${proxy.cut()} connections` },
  'network stalls': { target: 'way', lasts: OUTAGE, hit: disturb('stall') },
  'network drips': { target: 'way', lasts: OUTAGE, hit: disturb('drip') },
  'connections refused': { target: 'way', lasts: OUTAGE, hit: refuse },
  'sessions terminated': { target: 'server', hit: (stage) => endSessions(stage, 'pg_terminate_backend') },
  'statements cancelled': { target: 'server', hit: (stage) => endSessions(stage, 'pg_cancel_backend') },
  'server restarted': { target: 'server', hit: restartServer },
  'server killed': { target: 'server', hit: killServer },
  'table locked': { target: 'server', lasts: OUTAGE, hit: lockTable },
  'queue frozen': { target: 'queue', lasts: [500, 3_000], hit: freezeQueue },
} satisfies Record<string, FaultType>;

const KINDS = Object.keys(FAULTS) as FaultKind[];

/** The share of all messages within which faults hit, so that there is work before and after. */
const [FIRST, LAST] = [0.03, 0.95];

/** Faults spread over the run, each kind as often as any other. */
export function planFaults(random: Random, count: number, messages: number, workers: number): Fault[] {
  const kinds: FaultKind[] = [];
  while (kinds.length < count) kinds.push(...random.shuffle(KINDS));
  const spacing = (messages * (LAST - FIRST)) / count;
  let worker = random.integer(1, workers);
  return kinds.slice(0, count).map((kind, i) => {
    const { target, lasts = [0, 0] }: FaultType = FAULTS[kind];
    // In turn, so that one that is still frozen is not hit once more.
    if (target === 'worker') worker = (worker % workers) + 1;
    return {
      kind,
      at: Math.round(messages * FIRST + i * spacing) + random.integer(0, Math.floor(spacing)),
      milliseconds: random.integer(...lasts),
      worker,
      delay: random.integer(0, LONGEST_DELAY),
    };
  });
}

/** What faults of the same must not run at the same time on. */
export function targetOf({ kind, worker }: Fault): string {
  const { target } = FAULTS[kind];
  return target === 'worker' ? `worker ${worker}` : target;
}

/** Lets it happen. Resolves when it is over; what it has disturbed is mended also when the signal says stop. */
export function hit(stage: Stage, fault: Fault, signal: AbortSignal): Promise<string | undefined> {
  const { hit }: FaultType = FAULTS[fault.kind];
  return hit(stage, fault, signal);
}

async function killWorker({ workers }: Stage, { worker, delay }: Fault, signal: AbortSignal) {
  await workers.next('invoked', worker, signal);
  await sleep(delay);
  workers.signal(worker, 'SIGKILL');
  return `worker ${worker}`;
}

/** The function has committed, and the queue does not get to know. */
async function loseAnswer({ workers }: Stage, { worker }: Fault, signal: AbortSignal) {
  workers.loseAnswer(worker);
  await workers.next('ended', worker, signal);
  return `worker ${worker}`;
}

async function freezeWorker({ workers }: Stage, fault: Fault, signal: AbortSignal) {
  const { worker, delay, milliseconds } = fault;
  await workers.next('invoked', worker, signal);
  await sleep(delay);
  workers.signal(worker, 'SIGSTOP');
  try {
    await sleep(milliseconds, undefined, { signal });
  } finally {
    workers.signal(worker, 'SIGCONT');
  }
  return `worker ${worker}`;
}

function disturb(behaviour: Behaviour): FaultType['hit'] {
  return async ({ proxy }, { milliseconds }, signal) => {
    proxy.behave(behaviour);
    try {
      await sleep(milliseconds, undefined, { signal });
    } finally {
      proxy.behave('pass');
    }
    return undefined;
  };
}

/** Those that are open are lost as well. */
async function refuse(stage: Stage, fault: Fault, signal: AbortSignal): Promise<string | undefined> {
  const over = disturb('refuse')(stage, fault, signal);
  stage.proxy.cut();
  return over;
}

const PATIENCE = 2_000;

/** At a moment at which statements run, where one comes soon. */
async function endSessions({ postgres }: Stage, how: 'pg_terminate_backend' | 'pg_cancel_backend') {
  return asAdministrator(postgres.url, async (client) => {
    const end = performance.now() + PATIENCE;
    let ended = 0;
    while (ended === 0 && performance.now() < end) {
      const { rows } = await client.query<{ ended: number }>(
        `SELECT count(${how}(pid))::int AS ended FROM pg_stat_activity
         WHERE application_name = 'vizard' AND state = 'active'`,
      );
      ended = rows[0]!.ended;
    }
    return `${ended} sessions`;
  });
}

async function restartServer({ postgres, proxy }: Stage): Promise<undefined> {
  await postgres.restart();
  proxy.lead(postgres.url);
}

/** With SIGKILL; what it comes back with is what crash recovery finds. */
async function killServer({ postgres, proxy }: Stage): Promise<undefined> {
  await postgres.crash();
  await postgres.restart();
  proxy.lead(postgres.url);
}

async function lockTable({ postgres }: Stage, { milliseconds }: Fault, signal: AbortSignal) {
  return asAdministrator(postgres.url, async (client) => {
    await client.query(`BEGIN; LOCK TABLE ${loginEvents.table} IN ACCESS EXCLUSIVE MODE`);
    await sleep(milliseconds, undefined, { signal });
    return undefined;
  });
}

async function freezeQueue({ queueServer }: Stage, { milliseconds }: Fault, signal: AbortSignal) {
  queueServer.kill('SIGSTOP');
  try {
    await sleep(milliseconds, undefined, { signal });
  } finally {
    queueServer.kill('SIGCONT');
  }
  return undefined;
}

/** On a connection of its own that is not one of the workers'; what is not committed is gone with it. */
async function asAdministrator<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url, application_name: 'soak' });
  client.on('error', () => {});
  try {
    await client.connect();
    return await work(client);
  } finally {
    await client.end();
  }
}
