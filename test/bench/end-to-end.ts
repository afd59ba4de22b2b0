import { runEventSourceMapping, VISIBILITY_TIMEOUT } from '../../bin/local/event-source-mapping.ts';
import type { Line } from '../../bin/local/lines.ts';
import { startQueueServer } from '../../bin/local/queue-server.ts';
import { sendLines } from '../../bin/local/send-lines.ts';
import { createQueueWithDeadLetters, openQueue, type Queue } from '../../bin/queue/queue.ts';
import { VizardError } from '../../lambda/errors.ts';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { type Benchmark, count, type Figure, type Unit } from './benchmark.ts';
import { type BenchDatabase, freshBatch, openFunction } from './database.ts';
import type { Stage } from './stage.ts';
import { spreadOf } from './statistics.ts';

const EVENTS = { full: 100_000, quick: 2_000 };
const ROUNDS = 3;
/** As `vizard run` has them where nothing else is said. */
const BATCH_SIZE = 1_000;
const MAX_RECEIVES = 3;

/** What one round took, in milliseconds. */
interface Course {
  readonly sending: number;
  readonly draining: number;
  /** Of draining. */
  readonly receiving: number;
  readonly handler: number;
  readonly deleting: number;
}

const PARTS = ['receiving', 'handler', 'deleting'] as const;

export const benchmark: Benchmark = {
  title: 'from `send` to the last commit through the embedded queue, as `vizard run` does it, in one process',
  note: 'Receiving includes the queue server, which has the process in common with the rest; the largest share is the limit.',
  run: (stage) =>
    stage.withDatabase(async (database) => {
      const events = EVENTS[stage.quick ? 'quick' : 'full'];
      const courses: Course[] = [];
      while (courses.length < Math.min(stage.rounds, ROUNDS)) {
        await database.empty();
        courses.push(await drain(stage, database, events));
      }
      const figure = (what: string, unit: Unit, of: (course: Course) => number): Figure => ({
        what,
        unit,
        value: spreadOf(courses.map(of)),
      });
      return [
        figure(`sending ${count(events)}`, 'rows/s', ({ sending }) => (events / sending) * 1_000),
        figure('draining', 'rows/s', ({ draining }) => (events / draining) * 1_000),
        ...PARTS.map((part) =>
          figure(`of draining: ${part}`, '%', (course) => (100 * course[part]) / course.draining),
        ),
      ];
    }),
};

async function drain({ progress }: Stage, database: BenchDatabase, events: number): Promise<Course> {
  const server = await startQueueServer();
  const queueUrl = await createQueueWithDeadLetters(server.endpointUrl, 'login-queue', {
    maxReceiveCount: MAX_RECEIVES,
    visibilityTimeoutSeconds: VISIBILITY_TIMEOUT,
  });
  const queue = openQueue({ queueUrl, endpointUrl: server.endpointUrl });
  try {
    const never = new AbortController().signal;
    const start = performance.now();
    await sendLines(queue, linesOf(events), progress, never);
    const sending = performance.now() - start;
    progress.begin('ingested', events);
    const drained = await timeDraining(queue, database.url, (received) => progress.advance(received));
    progress.end();
    const { rows } = await database.client.query(`SELECT count(*)::int AS count FROM ${loginEvents.table}`);
    if (rows[0].count !== events) {
      throw new VizardError(`expected ${events} rows, got ${rows[0].count}; see what the handler rejects`);
    }
    return { sending, ...drained };
  } finally {
    queue.close();
    await server.stop();
  }
}

async function* linesOf(events: number): AsyncGenerator<Line> {
  const batch = freshBatch(events);
  for (const [i, { body }] of batch.entries()) yield { line: i + 1, body };
}

async function timeDraining(
  queue: Queue,
  databaseUrl: string,
  onReceived: (messages: number) => void,
): Promise<Omit<Course, 'sending'>> {
  const { handler, close } = openFunction(databaseUrl);
  const took = { draining: 0, handler: 0, deleting: 0 };
  const add = async <T>(part: 'handler' | 'deleting', work: Promise<T>): Promise<T> => {
    const start = performance.now();
    const result = await work;
    took[part] += performance.now() - start;
    return result;
  };
  const start = performance.now();
  await runEventSourceMapping({
    queue: { ...queue, delete: (messages) => add('deleting', queue.delete(messages)) },
    handler: (event, context) => add('handler', handler(event, context)),
    batchSize: BATCH_SIZE,
    maxReceiveCount: MAX_RECEIVES,
    exclusive: true,
    follow: false,
    signal: new AbortController().signal,
    onAnswer({ received }) {
      // The last one ends it: after it the mapping waits a second to see that there is no more.
      took.draining = performance.now() - start;
      onReceived(received);
    },
    onFailure() {},
  });
  await close();
  return { ...took, receiving: took.draining - took.handler - took.deleting };
}
