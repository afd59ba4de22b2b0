import { existsSync, mkdirSync } from 'node:fs';
import { findPackageJSON } from 'node:module';
import { dirname, join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import { type BuildAppOptions, buildApp } from 'fauxqs';
import { VizardError } from '../../lambda/errors.ts';

/** An SQS endpoint of our own, on the loopback interface. */
export interface QueueServer {
  readonly endpointUrl: string;
  stop(): Promise<void>;
}

type Stores = NonNullable<BuildAppOptions['stores']>;

/** The parts of fauxqs's persistence that we use. */
interface Persistence {
  readonly db: DatabaseSync;
  updateMessageReady(messageId: string): void;
  load(sqs: Stores['sqsStore'], sns: Stores['snsStore'], s3: Stores['s3Store']): void;
  close(): void;
}

type PersistenceManager = new (directory: string) => Persistence;

/** The file that fauxqs keeps everything in. */
const FILE = 'fauxqs.db';
/** Also the low byte of SQLite's codes for the ways of being busy. @see https://www.sqlite.org/rescode.html#busy */
const SQLITE_BUSY = 5;

/** @see https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html */
const NOT_IN_A_MESSAGE = /[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/u;

/**
 * Starts the SQS emulator fauxqs. Its own start function listens on every interface, and a queue of unmasked events
 * belongs on no network; so its parts are put together here, as that function does, and listen on 127.0.0.1.
 *
 * @param directory where to keep queues and messages between runs; in memory where there is none
 * @throws VizardError when another command has the directory open
 */
export async function startQueueServer(directory?: string): Promise<QueueServer> {
  const [{ SqsStore }, { SnsStore }, { S3Store }, { PersistenceManager }, types] = await Promise.all([
    fauxqsModule<{ SqsStore: new () => Stores['sqsStore'] }>('sqs/sqsStore.js'),
    fauxqsModule<{ SnsStore: new () => Stores['snsStore'] }>('sns/snsStore.js'),
    fauxqsModule<{ S3Store: new () => Stores['s3Store'] }>('s3/s3Store.js'),
    fauxqsModule<{ PersistenceManager: PersistenceManager }>('persistence.js'),
    fauxqsModule<{ INVALID_MESSAGE_BODY_CHAR: RegExp }>('sqs/sqsTypes.js'),
  ]);
  // fauxqs refuses characters beyond U+FFFF, emoji among them, which SQS carries.
  types.INVALID_MESSAGE_BODY_CHAR.test = (body) => NOT_IN_A_MESSAGE.test(body);
  const stores: Stores = { sqsStore: new SqsStore(), snsStore: new SnsStore(), s3Store: new S3Store() };
  // Queue URLs then name the host that they were asked for at.
  stores.sqsStore.host = '';
  let persistence: Persistence | undefined;
  if (directory !== undefined) {
    persistence = openPersistence(PersistenceManager, directory);
    persistence.load(stores.sqsStore, stores.snsStore, stores.s3Store);
    const wired = persistence as unknown as NonNullable<Stores['sqsStore']['persistence']>;
    stores.sqsStore.persistence = wired;
    for (const queue of stores.sqsStore.allQueues()) queue.persistence = wired;
  }
  const app = buildApp({ logger: false, stores });
  addDeadLetterSources(app, stores.sqsStore);
  const endpointUrl = await app.listen({ host: '127.0.0.1', port: 0 });
  return {
    endpointUrl,
    async stop() {
      stores.sqsStore.shutdown();
      await app.close();
      persistence?.close();
    },
  };
}

/** True where a queue server has kept its data. */
export function keepsQueues(directory: string): boolean {
  return existsSync(join(directory, FILE));
}

/** Opens what is kept in a directory, for this process alone until it closes it or ends. */
function openPersistence(Manager: PersistenceManager, directory: string): Persistence {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  let persistence: Persistence | undefined;
  try {
    persistence = new Manager(directory);
    // Every server has all messages in memory and waits for no lock: of two on one file, each would write over the
    // other's, and a message on its way to the dead-letter queue, deleted here and inserted there, would be gone.
    persistence.db.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT');
  } catch (error) {
    persistence?.close();
    const { errcode } = error as { errcode?: number };
    if (errcode === undefined || (errcode & 0xff) !== SQLITE_BUSY) throw error;
    throw new VizardError(`${directory} is in use by another command; wait until that has ended, or stop it`);
  }
  // Deleted messages must not linger in free pages; a commit that the process survives is enough for a laptop.
  persistence.db.exec('PRAGMA secure_delete = ON; PRAGMA synchronous = NORMAL');
  // fauxqs sets the receive count to NULL here, which its own table refuses; the message would be gone.
  const ready = persistence.db.prepare(
    'UPDATE sqs_messages SET receipt_handle = NULL, visibility_deadline = NULL WHERE message_id = ?',
  );
  persistence.updateMessageReady = (messageId) => void ready.run(messageId);
  return persistence;
}

/** Answers ListDeadLetterSourceQueues, which fauxqs does not know. */
function addDeadLetterSources(app: ReturnType<typeof buildApp>, store: Stores['sqsStore']): void {
  app.addHook('preHandler', async (request, reply) => {
    if (request.headers['x-amz-target'] !== 'AmazonSQS.ListDeadLetterSourceQueues') return;
    const { QueueUrl } = request.body as { QueueUrl: string };
    const target = JSON.stringify(store.getQueue(QueueUrl)?.arn);
    const sources = [...store.allQueues()].filter(({ attributes }) =>
      attributes.RedrivePolicy?.includes(target),
    );
    await reply
      .header('content-type', 'application/x-amz-json-1.0')
      .send(JSON.stringify({ queueUrls: sources.map(({ url }) => url) }));
  });
}

/** A module of fauxqs that its package does not export; the lock file pins the version that this was written for. */
async function fauxqsModule<T>(path: string): Promise<T> {
  const dist = join(dirname(findPackageJSON('fauxqs', import.meta.url)!), 'dist');
  return (await import(pathToFileURL(join(dist, path)).href)) as T;
}
