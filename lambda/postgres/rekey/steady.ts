import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientBase } from 'pg';
import { DatabaseFailure } from '../../errors.ts';
import { ALL_ROWS, type Login, withClient } from '../connection.ts';
import { classify, type Failure } from '../sqlstate.ts';

export interface SteadyOptions {
  /** A unique violation of it means that another transaction was first. */
  readonly contested: string;
  /** Told why work is interrupted, by a code that names it. */
  readonly onInterruption: (code: string) => void;
  readonly signal: AbortSignal;
  /** Done first on each connection, before anything is set for its session. */
  readonly prepare: (client: ClientBase) => Promise<void>;
  /** Milliseconds without progress after which it gives up. @default three minutes, longer than a failover */
  readonly patience?: number;
}

const PATIENCE = 180_000;
const FIRST_PAUSE = 250;
const LONGEST_PAUSE = 10_000;
const RETRIED = new Set<Failure>(['transient', 'contention', 'unknown', 'slow', 'duplicate']);

/**
 * Work that takes up where it was when it is begun again, on one connection after the other: a lost connection, a failover,
 * or somebody who holds a row for long interrupts it and does not end it. The first connection has to succeed.
 *
 * @param work told by what it says that it gets on
 * @throws DatabaseFailure in place of pg's own errors
 */
export async function steadily<T>(
  login: Login,
  work: (client: ClientBase, gotOn: () => void) => Promise<T>,
  { contested, onInterruption, signal, prepare, patience = PATIENCE }: SteadyOptions,
): Promise<T> {
  let gotOnAt: number | undefined;
  let pause = FIRST_PAUSE;
  const gotOn = () => {
    gotOnAt = performance.now();
    pause = FIRST_PAUSE;
  };
  for (;;) {
    let failure: Failure = 'transient';
    try {
      return await withClient(login, async (client) => {
        gotOnAt ??= performance.now();
        try {
          await prepare(client);
          await client.query(`${ALL_ROWS}; ${SESSION}`);
          // Not every server has it: one that is at a long statement notices that its client has gone.
          await client.query(`SET client_connection_check_interval = '2s'`).catch(() => {});
          return await work(client, gotOn);
        } catch (error) {
          failure = classify(error, contested);
          throw error;
        }
      });
    } catch (error) {
      const isOver = gotOnAt === undefined || performance.now() - gotOnAt > patience || signal.aborted;
      if (!(error instanceof DatabaseFailure) || !RETRIED.has(failure) || isOver) throw error;
      onInterruption(error.code);
      await sleep(pause, undefined, { signal }).catch(() => {});
      pause = Math.min(pause * 2, LONGEST_PAUSE);
    }
  }
}

/**
 * Nobody waits long for what waits for a lock, and a session whose client has gone ends. The server's own limit of statements
 * is set aside: a census reads the whole table.
 */
const SESSION = [
  `lock_timeout = '500ms'`,
  'statement_timeout = 0',
  `idle_in_transaction_session_timeout = '60s'`,
  'tcp_keepalives_idle = 30',
  'tcp_keepalives_interval = 10',
  'tcp_keepalives_count = 3',
]
  .map((setting) => `SET ${setting}`)
  .join('; ');
