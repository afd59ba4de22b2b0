import type { Progress } from '../../bin/local/progress.ts';
import { readRows, takeAll } from './collect.ts';
import { type FaultKind, planFaults } from './faults.ts';
import { createGauge, type Gauge } from './gauge.ts';
import { injectFaults } from './inject.ts';
import { soakMessages } from './messages.ts';
import { createRandom } from './random.ts';
import { reconcile } from './reconcile.ts';
import type { Report } from './report.ts';
import { type SentMessage, sendAll } from './sender.ts';
import { openStage, type Stage } from './stage.ts';

export interface SoakOptions {
  readonly messages: number;
  readonly faults: number;
  readonly seed: number;
  readonly workers: number;
}

/** Milliseconds that a run may take: for itself, for each fault, and for each message. */
const [TIME, TIME_A_FAULT, TIME_A_MESSAGE] = [60_000, 15_000, 3];
/** Messages that may wait in the queue, at least and as a share of all. */
const [BACKLOG, BACKLOG_SHARE] = [5_000, 0.2];

/**
 * Sends messages to workers that faults hit, until all are settled or time is up, and finds out what became of each.
 * Whatever happens, nothing of it is left behind.
 *
 * @throws the signal's reason when it says stop; VizardError when something that no fault hits fails
 */
export async function soak(options: SoakOptions, progress: Progress, signal: AbortSignal): Promise<Report> {
  const stage = await openStage(options.workers);
  try {
    const load = await runLoad(stage, options, progress, signal);
    progress.note('reconciling');
    return await account(stage, options, load, signal);
  } finally {
    await stage.close();
  }
}

interface Load {
  readonly sent: readonly SentMessage[];
  readonly hits: readonly FaultKind[];
  readonly gauge: Gauge;
  /** Seconds. */
  readonly sending: number;
  readonly settling: number;
}

/** Sender, workers and faults at the same time. */
async function runLoad(
  stage: Stage,
  { messages, faults, seed, workers }: SoakOptions,
  progress: Progress,
  signal: AbortSignal,
): Promise<Load> {
  const random = createRandom(seed);
  const plan = planFaults(random, faults, messages, workers);
  const gauge = createGauge(stage.queue);
  const sent: SentMessage[] = [];
  const backlog = Math.max(BACKLOG, messages * BACKLOG_SHARE);
  const limit = AbortSignal.timeout(TIME + faults * TIME_A_FAULT + messages * TIME_A_MESSAGE);
  const start = performance.now();
  const seconds = () => (performance.now() - start) / 1000;
  const hits: FaultKind[] = [];
  let sending = 0;

  progress.begin('settled', messages);
  await together(AbortSignal.any([signal, limit]), [
    async (signal) => {
      const onSent = (taken: readonly SentMessage[]) => sent.push(...taken);
      await sendAll({ ...stage, gauge, backlog, onSent }, soakMessages(random, messages), signal);
      sending = seconds();
    },
    (signal) => gauge.watch(messages, (count) => progress.advance(count), signal),
    (signal) => injectFaults({ stage, plan, gauge, progress, onHit: (kind) => hits.push(kind) }, signal),
  ]).finally(() => progress.end());
  signal.throwIfAborted();
  if (limit.aborted) progress.note(`time is up after ${Math.round(seconds())} s`);
  return { sent, hits, gauge, sending: sending || seconds(), settling: seconds() };
}

/**
 * Runs tasks until all are over; one that fails ends the others. Being ended by the signal is no failure.
 *
 * @throws whatever the first task that failed has thrown
 */
async function together(
  signal: AbortSignal,
  tasks: readonly ((signal: AbortSignal) => Promise<void>)[],
): Promise<void> {
  const failure = new AbortController();
  const either = AbortSignal.any([signal, failure.signal]);
  await Promise.all(
    tasks.map((task) =>
      task(either).catch((error: unknown) => {
        if (!either.aborted) failure.abort(error);
      }),
    ),
  );
  failure.signal.throwIfAborted();
}

/** What became of each message, when nobody works on it any more. */
async function account(
  { workers, queue, deadLetters, postgres }: Stage,
  { seed }: SoakOptions,
  { sent, hits, gauge, sending, settling }: Load,
  signal: AbortSignal,
): Promise<Report> {
  await workers.stop();
  const left = await takeAll(queue, signal);
  const letters = await takeAll(deadLetters, signal);
  const rows = await readRows(postgres.url);
  const { received, crashes, ...tally } = workers.tally;
  return {
    seed,
    sent: sent.length,
    rows: rows.length,
    deadLetters: letters.length,
    seconds: Math.round(settling),
    sentPerSecond: Math.round(sent.length / sending),
    storedPerSecond: Math.round(rows.length / settling),
    receivesPerMessage: Number((received / sent.length).toFixed(2)),
    ...tally,
    peakInFlight: gauge.peakInFlight,
    faults: countOf(hits),
    findings: reconcile({ sent, rows, deadLetters: letters, left }),
    crashes,
  };
}

function countOf(hits: readonly FaultKind[]): Report['faults'] {
  const kinds = Map.groupBy(hits.toSorted(), (kind) => kind);
  return Object.fromEntries([...kinds].map(([kind, { length }]) => [kind, length]));
}
