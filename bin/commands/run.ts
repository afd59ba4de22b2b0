import { DatabaseFailure, VizardError } from '../../lambda/errors.ts';
import type { Masking } from '../../lambda/events/declaration.ts';
import { loginEventsWith } from '../../lambda/events/login-event.ts';
import { createFunction, type Observer, type Resources } from '../../lambda/function.ts';
import type { Log } from '../../lambda/log.ts';
import { proveKeys } from '../../lambda/masking/key-proof.ts';
import type { Keyset } from '../../lambda/masking/keyset.ts';
import { withClient } from '../../lambda/postgres/connection.ts';
import { checkKeys } from '../../lambda/postgres/keys/check.ts';
import { migrate } from '../../lambda/postgres/schema/schema.ts';
import { runEventSourceMapping } from '../local/event-source-mapping.ts';
import { startServers } from '../local/instance.ts';
import { openKeyset } from '../local/keyset-file.ts';
import { type Line, openLines } from '../local/lines.ts';
import { createProgress, type Progress } from '../local/progress.ts';
import { readRecoveryKey } from '../local/recovery-key-file.ts';
import { sendLines } from '../local/send-lines.ts';
import { onStopRequest } from '../local/stop.ts';
import { printSummary, type Rejected, type Summary } from '../local/summary.ts';
import type { QueueAddress } from '../queue/client.ts';
import { openQueue, type Queue } from '../queue/queue.ts';

export interface RunOptions {
  readonly input?: string;
  readonly queueUrl?: string;
  readonly endpointUrl?: string;
  readonly databaseUrl?: string;
  readonly batchSize: number;
  readonly maxReceiveCount: number;
  readonly follow: boolean;
  readonly dataDir?: string;
  readonly keyset?: string;
  readonly masking: Masking;
  readonly recoveryKey?: string;
  readonly ipNetwork: boolean;
  readonly json: boolean;
}

const SAMPLE = new URL('../local/sample.jsonl', import.meta.url).pathname;

/**
 * `vizard run`: starts what is not given, sends the input, and feeds the queue to the handler until it is drained.
 *
 * @returns the process's exit code
 */
export async function run(options: RunOptions): Promise<number> {
  const queueGiven = givenQueue(options);
  await using lines = queueGiven === undefined ? await openLines(options.input ?? SAMPLE) : undefined;
  const recoveryKey = readRecoveryKey(options);
  const progress = createProgress();
  const keysetNow = openKeyset(options, (file) =>
    progress.note(`new keyset in ${file}: keep it, without it nobody gets back what is masked`),
  );
  const stop = onStopRequest({ keys: options.input !== '-' });
  try {
    const servers = await startServers({ ...options, queue: queueGiven });
    const queue = openQueue(servers.queue);
    try {
      await prepare(queue, servers.databaseUrl, keysetNow(), options);
      if (options.follow) progress.note(`queue ${servers.queue.queueUrl}\ndatabase ${servers.databaseUrl}`);
      const resources: Resources = {
        login: { kind: 'url', url: servers.databaseUrl },
        keyset: async () => keysetNow(),
        masking: options.masking,
        recoveryKey,
      };
      const summary = await ingest({ queue, lines, resources, options, progress, signal: stop.signal });
      await printSummary(summary, {
        databaseUrl: servers.databaseUrl,
        json: options.json,
      });
    } finally {
      queue.close();
      await servers.stop();
    }
  } finally {
    stop.release();
  }
  // Following has no other end than being stopped; anything else was cut short.
  return options.follow ? 0 : stop.exitCode();
}

interface Ingest {
  readonly queue: Queue;
  readonly lines: AsyncIterable<Line> | undefined;
  readonly resources: Resources;
  readonly options: RunOptions;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/** Sends and drains, and counts what came of it. */
async function ingest({ queue, lines, resources, options, progress, signal }: Ingest): Promise<Summary> {
  const start = performance.now();
  const rejections = new Map<string, Rejected>();
  const counts = { received: 0, stored: 0, duplicates: 0, deadLettered: 0 };
  const sent = lines === undefined ? undefined : await sendLines(queue, lines, progress, signal);
  for (const refused of sent?.refused ?? []) rejections.set(`line ${refused.line}`, refused);

  const observer: Observer = {
    batch(report) {
      counts.stored += report.stored;
      counts.duplicates += report.duplicates;
      for (const { messageId, field, code } of report.rejected) {
        rejections.set(messageId, { messageId, line: sent?.lines.get(messageId) ?? null, field, code });
      }
    },
    // The event source mapping says it, and when it tries again.
    failed() {},
  };
  const { handler, close } = createFunction(
    loginEventsWith(options),
    resources,
    consoleLog(progress),
    observer,
  );
  const { visible, maxReceiveCount } = await queue.state();
  progress.begin('ingested', sent?.lines.size ?? visible);
  try {
    await runEventSourceMapping({
      queue,
      handler,
      signal,
      batchSize: options.batchSize,
      maxReceiveCount: options.maxReceiveCount,
      follow: options.follow,
      exclusive: options.queueUrl === undefined,
      onAnswer({ received, exhausted }) {
        counts.received += received;
        if (maxReceiveCount !== undefined) counts.deadLettered += exhausted.length;
        progress.advance(received);
      },
      onFailure: (_error, seconds) => progress.note(`the batch is tried again in ${seconds} s`),
    });
  } finally {
    progress.end();
    await close();
  }
  return {
    ...counts,
    received: counts.received + (sent?.refused.length ?? 0),
    rejected: rejections.size,
    seconds: Math.round(performance.now() - start) / 1000,
    rejections: [...rejections.values()].sort(byLine),
  };
}

/**
 * Brings the schema up and looks whether the keyset is the one that wrote the table and whether the queue is there, so
 * that what is wrong is said before anything is sent or received.
 */
async function prepare(
  queue: Queue,
  databaseUrl: string,
  keyset: Keyset,
  options: RunOptions,
): Promise<void> {
  try {
    await withClient({ kind: 'url', url: databaseUrl }, async (client) => {
      const declaration = loginEventsWith(options);
      await migrate(client, declaration, { vault: options.recoveryKey !== undefined });
      await checkKeys(client, declaration, proveKeys(keyset, options.masking, declaration));
    });
  } catch (error) {
    if (!(error instanceof DatabaseFailure)) throw error;
    const place =
      options.databaseUrl === undefined ? 'the embedded database' : `the database at ${hostOf(databaseUrl)}`;
    throw new VizardError(`${place} cannot be used (${error.code}); check --database-url`);
  }
  await queue.state();
}

function hostOf(databaseUrl: string): string {
  return new URL(databaseUrl).host || 'localhost';
}

function givenQueue({ queueUrl, endpointUrl, input }: RunOptions): QueueAddress | undefined {
  if (queueUrl === undefined) {
    if (endpointUrl !== undefined)
      throw new VizardError('--endpoint-url needs --queue-url: there is no queue to find there');
    return undefined;
  }
  if (input !== undefined) {
    throw new VizardError(
      '--input and --queue-url exclude each other: an existing queue is drained, nothing is sent to it',
    );
  }
  return { queueUrl, endpointUrl };
}

/** Rejections are shown at the end; what delays the run is shown as it happens. */
function consoleLog(progress: Progress): Log {
  const say = (message: string, code: string | undefined) =>
    progress.note(code ? `${message} (${code})` : message);
  return {
    info() {},
    warn(message, { code, messageId }) {
      if (messageId === undefined) say(message, code);
    },
    error(message, { error, code }) {
      say(message, error ?? code);
    },
  };
}

/** In the order of the input, where there is one. */
function byLine(a: Rejected, b: Rejected): number {
  return (a.line ?? 0) - (b.line ?? 0);
}
