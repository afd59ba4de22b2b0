import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { createQueueWithDeadLetters, openQueue, type Queue } from '../../bin/queue/queue.ts';
import { VizardError } from '../../lambda/errors.ts';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { withClient } from '../../lambda/postgres/connection.ts';
import { migrate } from '../../lambda/postgres/schema/schema.ts';
import { type Proxy as DatabaseProxy, startProxy } from '../support/proxy.ts';
import { type RestartablePostgres, startRestartablePostgres } from '../support/restartable-postgres.ts';
import { MAX_RECEIVES, VISIBILITY_SECONDS } from './times.ts';
import { startWorkers, type Workers } from './workers.ts';

/** All that takes part in a run: processes that can be killed and frozen, and a way to the database that can be cut. */
export interface Stage {
  readonly queue: Queue;
  readonly deadLetters: Queue;
  readonly queueServer: ChildProcess;
  readonly postgres: RestartablePostgres;
  /** The workers' way to the database. */
  readonly proxy: DatabaseProxy;
  readonly workers: Workers;
  /** Ends all of it, and leaves nothing behind. */
  close(): Promise<void>;
}

const QUEUE_SERVER = new URL('queue.ts', import.meta.url).pathname;

/** @throws VizardError when something does not start; what has started is then ended */
export async function openStage(workerCount: number): Promise<Stage> {
  const closers: (() => void | Promise<void>)[] = [];
  const close = async () => {
    for (const end of closers.splice(0).reverse()) await end();
  };
  try {
    const postgres = await startRestartablePostgres();
    closers.push(() => postgres.stop());
    await withClient({ kind: 'url', url: postgres.url }, (client) => migrate(client, loginEvents));
    const proxy = await startProxy(postgres.url);
    closers.push(() => proxy.close());
    const { queueServer, endpointUrl } = await startQueueProcess();
    closers.push(() => void queueServer.kill('SIGKILL'));
    const queueUrl = await createQueueWithDeadLetters(endpointUrl, 'login-queue', {
      maxReceiveCount: MAX_RECEIVES,
      visibilityTimeoutSeconds: VISIBILITY_SECONDS,
    });
    const queue = openQueue({ queueUrl, endpointUrl });
    closers.push(() => queue.close());
    const deadLetters = openQueue({ queueUrl: `${queueUrl}-dlq`, endpointUrl });
    closers.push(() => deadLetters.close());
    const workers = startWorkers(workerCount, { queue: { queueUrl, endpointUrl }, databaseUrl: proxy.url });
    closers.push(() => workers.stop());
    return { queue, deadLetters, queueServer, postgres, proxy, workers, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function startQueueProcess(): Promise<{ queueServer: ChildProcess; endpointUrl: string }> {
  // In a session of its own, so that Ctrl-C is left to the parent.
  const queueServer = fork(QUEUE_SERVER, { detached: true, stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
  const [said] = await Promise.race([once(queueServer, 'message'), once(queueServer, 'exit')]);
  if (typeof said !== 'string') throw new VizardError(`the queue's server did not start (exit ${said})`);
  return { queueServer, endpointUrl: said };
}
