/**
 * A Lambda environment and the poller that feeds it, in a process of its own, so that it can be killed at any moment.
 */
import { once } from 'node:events';
import type { SQSEvent } from 'aws-lambda';
import { runEventSourceMapping } from '../../bin/local/event-source-mapping.ts';
import { openQueue } from '../../bin/queue/queue.ts';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { createFunction } from '../../lambda/function.ts';
import { describeError } from '../../lambda/log.ts';
import { parseKeyset } from '../../lambda/masking/keyset.ts';
import { KEYSET_JSON } from '../support/records.ts';
import { FUNCTION_TIMEOUT, MAX_RECEIVES, VISIBILITY_SECONDS } from './times.ts';
import { LOSE_ANSWER, type WorkerMessage, type WorkerTask } from './worker-protocol.ts';

const BATCH_SIZE = 500;

const tell = (message: WorkerMessage, done = () => {}) => process.send!(message, done);

function fail(error: unknown): void {
  tell({ kind: 'failed', error: describeError(error) }, () => process.exit(1));
}

process.on('uncaughtException', fail);
// Whoever started it has gone.
process.on('disconnect', () => process.exit());
const [task] = (await once(process, 'message')) as [WorkerTask];
let losesAnswer = false;
process.on('message', (message) => {
  losesAnswer ||= message === LOSE_ANSWER;
});
const silent = { info() {}, warn() {}, error() {} };
const keyset = parseKeyset(KEYSET_JSON);
const { handler } = createFunction(
  loginEvents,
  {
    login: { kind: 'url', url: task.databaseUrl },
    keyset: () => Promise.resolve(keyset),
    masking: 'recoverable',
  },
  silent,
  {
    batch({ stored, duplicates, retried }) {
      if (losesAnswer && stored > 0) process.kill(process.pid, 'SIGKILL');
      outcome = { duplicates, retried: retried.length };
    },
    failed: () => tell({ kind: 'thrown' }),
  },
);

/** A batch that is held is the same object when it comes again. */
let last: SQSEvent | undefined;
let outcome = { duplicates: 0, retried: 0 };

async function invoke(event: SQSEvent) {
  tell({ kind: 'invoked', received: event === last ? 0 : event.Records.length });
  last = event;
  const end = performance.now() + FUNCTION_TIMEOUT;
  const response = await handler(event, { getRemainingTimeInMillis: () => end - performance.now() });
  const failed = new Set(response.batchItemFailures.map(({ itemIdentifier }) => itemIdentifier));
  const receives = event.Records.map(({ messageId, attributes }) =>
    failed.has(messageId) ? 0 : Number(attributes.ApproximateReceiveCount),
  );
  tell({ kind: 'answered', ...outcome, mostReceives: Math.max(...receives) });
  return response;
}

const queue = openQueue(task.queue);
await runEventSourceMapping({
  // A batch that is held when its worker is killed is not to stay away for longer than others.
  queue: {
    ...queue,
    hide: (messages, seconds) => queue.hide(messages, Math.min(seconds, VISIBILITY_SECONDS)),
  },
  handler: invoke,
  batchSize: BATCH_SIZE,
  maxReceiveCount: MAX_RECEIVES,
  exclusive: false,
  follow: true,
  signal: new AbortController().signal,
  onAnswer() {},
  onFailure() {},
}).catch(fail);
