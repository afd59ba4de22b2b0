import { type ChildProcess, fork } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { LOSE_ANSWER, type WorkerMessage, type WorkerTask } from './worker-protocol.ts';

/** Processes that work on the queue, numbered from 1. One that ends is replaced. */
export interface Workers {
  readonly tally: Tally;
  /** Resolves when the function of this worker is next invoked, or the worker ends; or after some seconds without. */
  next(event: 'invoked' | 'ended', worker: number, signal: AbortSignal): Promise<void>;
  /** The worker kills itself when its function has stored something next, before the queue gets to know. */
  loseAnswer(worker: number): void;
  signal(worker: number, signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void;
  stop(): Promise<void>;
}

/** What the workers have said, as far as they lived to say it. */
export interface Tally {
  /** Messages handed to functions, each as often as it was received. */
  received: number;
  /** Of a message that was stored. */
  mostReceives: number;
  /** Messages whose event was in the table already. */
  duplicates: number;
  /** Messages that a function gave back because it could not commit them in time. */
  retried: number;
  /** Invocations that failed as a whole. */
  thrown: number;
  /** Why workers ended that nobody killed. */
  readonly crashes: string[];
}

const PROGRAM = new URL('worker.ts', import.meta.url).pathname;
const PATIENCE = 5_000;
/** Before a worker that ended by itself is replaced. */
const PAUSE = 500;

export function startWorkers(count: number, task: WorkerTask): Workers {
  const tally: Tally = { received: 0, mostReceives: 0, duplicates: 0, retried: 0, thrown: 0, crashes: [] };
  const events = new EventEmitter();
  const children: ChildProcess[] = [];
  let stopping = false;

  function start(worker: number): void {
    // In a session of its own, so that Ctrl-C is left to the parent. Node writes out whole errors, values and all.
    const child = fork(PROGRAM, { detached: true, stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
    children[worker] = child;
    let crash: string | undefined;
    child.on('message', (message: WorkerMessage) => {
      if (message.kind === 'invoked') events.emit(`invoked ${worker}`);
      if (message.kind === 'failed') crash = `${message.error.error} ${message.error.frames?.[0]}`;
      else addTo(tally, message);
    });
    child.on('exit', (code, signal) => {
      events.emit(`ended ${worker}`);
      if (stopping) return;
      if (signal === 'SIGKILL') return start(worker);
      tally.crashes.push(`worker ${worker}: ${crash ?? `exit ${code ?? signal}`}`);
      sleep(PAUSE).then(() => stopping || start(worker));
    });
    child.on('error', () => {});
    child.send(task);
  }

  for (let worker = 1; worker <= count; worker++) start(worker);
  return {
    tally,
    async next(event, worker, signal) {
      const either = AbortSignal.any([signal, AbortSignal.timeout(PATIENCE)]);
      await once(events, `${event} ${worker}`, { signal: either }).catch(() => {});
      signal.throwIfAborted();
    },
    loseAnswer: (worker) => void children[worker]!.send(LOSE_ANSWER),
    signal: (worker, signal) => void children[worker]!.kill(signal),
    async stop() {
      stopping = true;
      await Promise.all(children.filter(Boolean).map(end));
    },
  };
}

function addTo(tally: Tally, message: Exclude<WorkerMessage, { kind: 'failed' }>): void {
  switch (message.kind) {
    case 'invoked':
      tally.received += message.received;
      break;
    case 'answered':
      tally.duplicates += message.duplicates;
      tally.retried += message.retried;
      tally.mostReceives = Math.max(tally.mostReceives, message.mostReceives);
      break;
    case 'thrown':
      tally.thrown++;
      break;
    default:
      message satisfies never;
  }
}

/** Also one that is frozen. */
async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}
