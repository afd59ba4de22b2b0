import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { VizardError } from '../../lambda/errors.ts';
import type { QueueAddress } from '../queue/client.ts';
import { createQueueWithDeadLetters } from '../queue/queue.ts';
import { VISIBILITY_TIMEOUT } from './event-source-mapping.ts';
import { startPostgres } from './postgres.ts';
import { startQueueServer } from './queue-server.ts';

/** Name of the embedded queue, as the exercise has it. */
const QUEUE_NAME = 'login-queue';
/** The account that the embedded queue belongs to. */
const ACCOUNT = '000000000000';

/** Where the command line finds a queue and a database, its own or somebody else's. */
export interface Servers {
  readonly queue: QueueAddress;
  readonly databaseUrl: string;
  /** Stops what was started for it. */
  stop(): Promise<void>;
}

export interface ServerOptions {
  /** An existing queue. @default an embedded one */
  readonly queue?: QueueAddress | undefined;
  /** An existing database. @default an embedded one */
  readonly databaseUrl?: string | undefined;
  /** Where embedded servers keep their data. @default they forget it */
  readonly dataDir?: string | undefined;
  /** Of the embedded queue. */
  readonly maxReceiveCount: number;
}

/** Starts whatever is not given, and lets `send` and `show` find it until it is stopped. */
export async function startServers(options: ServerOptions): Promise<Servers> {
  const { dataDir } = options;
  if (dataDir !== undefined) {
    const running = await readInstance(dataDir);
    if (running !== undefined)
      throw new VizardError(`${dataDir} is in use by process ${running.pid}; stop it first`);
    mkdirSync(dataDir, { recursive: true });
  }
  const starting = [
    options.queue ?? embeddedQueue(options),
    options.databaseUrl ?? startPostgres({ directory: dataDir }),
  ] as const;
  const [queue, database] = await Promise.allSettled(starting);
  const started = [queue, database].flatMap((result) =>
    result.status === 'fulfilled' && typeof result.value === 'object' && 'stop' in result.value
      ? [result.value]
      : [],
  );
  const stop = async () => {
    await Promise.all(started.map((server) => server.stop()));
  };
  if (queue.status === 'rejected' || database.status === 'rejected') {
    await stop();
    throw queue.status === 'rejected' ? queue.reason : (database as PromiseRejectedResult).reason;
  }
  const servers = {
    queue: queue.value,
    databaseUrl: typeof database.value === 'string' ? database.value : database.value.url,
  };
  announce(dataDir, { pid: process.pid, ...servers });
  return {
    ...servers,
    async stop() {
      if ((await readInstance(dataDir))?.pid === process.pid) rmSync(instanceFile(dataDir), { force: true });
      await stop();
    },
  };
}

async function embeddedQueue({
  dataDir,
  maxReceiveCount,
}: Pick<ServerOptions, 'dataDir' | 'maxReceiveCount'>): Promise<QueueAddress & { stop(): Promise<void> }> {
  const { endpointUrl, stop } = await startQueueServer(
    dataDir === undefined ? undefined : join(dataDir, 'queue'),
  );
  try {
    const settings = { maxReceiveCount, visibilityTimeoutSeconds: VISIBILITY_TIMEOUT };
    const queueUrl = await createQueueWithDeadLetters(endpointUrl, QUEUE_NAME, settings);
    return { queueUrl, endpointUrl, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The embedded queue that a run has kept in a directory, alone. */
export async function keptQueue(dataDir: string): Promise<QueueAddress & { stop(): Promise<void> }> {
  const { endpointUrl, stop } = await startQueueServer(join(dataDir, 'queue'));
  return { queueUrl: `${endpointUrl}/${ACCOUNT}/${QUEUE_NAME}`, endpointUrl, stop };
}

/** A running instance, as it describes itself to `send` and `show`. */
export interface Instance {
  readonly pid: number;
  readonly queue: QueueAddress;
  readonly databaseUrl: string;
}

/** Only a convenience for `send` and `show`: where nothing can be written, the run goes on without it. */
function announce(dataDir: string | undefined, instance: Instance): void {
  const file = instanceFile(dataDir);
  try {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, JSON.stringify(instance), { mode: 0o600 });
  } catch {}
}

/** The instance that runs on a directory, or, without one, the one last started from this working directory. */
export async function readInstance(dataDir?: string): Promise<Instance | undefined> {
  let instance: Instance;
  try {
    instance = JSON.parse(readFileSync(instanceFile(dataDir), 'utf8')) as Instance;
    process.kill(instance.pid, 0);
  } catch {
    return undefined;
  }
  // Another process may have got the number of one that was killed.
  const { endpointUrl, queueUrl } = instance.queue;
  const answering = await Promise.all([endpointUrl ?? queueUrl, instance.databaseUrl].map(answers));
  return answering.every(Boolean) ? instance : undefined;
}

const DEFAULT_PORTS: Readonly<Record<string, number>> = { 'http:': 80, 'https:': 443 };

/** True when something listens at the URL's host and port. */
async function answers(url: string): Promise<boolean> {
  const { hostname, port, protocol } = new URL(url);
  const socket = connect(Number(port) || (DEFAULT_PORTS[protocol] ?? 5432), hostname || 'localhost');
  socket.setTimeout(1_000, () => socket.destroy(new Error('no answer')));
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** True where a run has kept its data. */
export function isKept(dataDir: string): boolean {
  return existsSync(join(dataDir, 'postgres'));
}

function instanceFile(dataDir: string | undefined): string {
  return join(dataDir ?? '.vizard', 'instance.json');
}
