import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { VizardError } from '../../lambda/errors.ts';
import type { QueueAddress } from '../queue/client.ts';
import { createQueueWithDeadLetters } from '../queue/queue.ts';
import { VISIBILITY_TIMEOUT } from './event-source-mapping.ts';
import { startPostgres } from './postgres.ts';
import { keepsQueues, startQueueServer } from './queue-server.ts';

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
    await requireUnused(dataDir);
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
      if (readInstance(dataDir)?.pid === process.pid) rmSync(instanceFile(dataDir), { force: true });
      await stop();
    },
  };
}

/** One of the two servers is enough: an instance goes on through an outage of the other. */
async function requireUnused(dataDir: string): Promise<void> {
  const running = readInstance(dataDir);
  // In a container, one that was killed and the next one often have the same process number.
  if (running === undefined || running.pid === process.pid) return;
  if ((await queueAnswers(running)) || (await databaseAnswers(running)))
    throw new VizardError(`${dataDir} is in use by process ${running.pid}; stop it first`);
}

async function embeddedQueue({
  dataDir,
  maxReceiveCount,
}: Pick<ServerOptions, 'dataDir' | 'maxReceiveCount'>): Promise<QueueAddress & { stop(): Promise<void> }> {
  const { endpointUrl, stop } = await startQueueServer(
    dataDir === undefined ? undefined : queueDirectory(dataDir),
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
  const { endpointUrl, stop } = await startQueueServer(queueDirectory(dataDir));
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

/**
 * The instance that was last started on a directory, or, without one, from this working directory, unless its process
 * has ended. Another process may have got the number of one that was killed: see whether what is wanted answers.
 */
export function readInstance(dataDir?: string): Instance | undefined {
  try {
    const instance = JSON.parse(readFileSync(instanceFile(dataDir), 'utf8')) as Instance;
    process.kill(instance.pid, 0);
    return instance;
  } catch {
    return undefined;
  }
}

/** True where something listens at the instance's queue. */
export function queueAnswers({ queue }: Instance): Promise<boolean> {
  return answers(queue.endpointUrl ?? queue.queueUrl);
}

/** True where something listens at the instance's database. */
export function databaseAnswers({ databaseUrl }: Instance): Promise<boolean> {
  return answers(databaseUrl);
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

/** True where a run has kept an embedded queue. */
export function isQueueKept(dataDir: string): boolean {
  return keepsQueues(queueDirectory(dataDir));
}

/** True where a run has kept an embedded database. */
export function isDatabaseKept(dataDir: string): boolean {
  return existsSync(join(dataDir, 'postgres'));
}

function queueDirectory(dataDir: string): string {
  return join(dataDir, 'queue');
}

function instanceFile(dataDir: string | undefined): string {
  return join(dataDir ?? '.vizard', 'instance.json');
}
