import { setTimeout as sleep } from 'node:timers/promises';
import type { Queue } from '../../bin/queue/queue.ts';

/** How far the run is, by what the queue says. */
export interface Gauge {
  /** Messages that the queue has taken. */
  readonly sent: number;
  /** Those that have left it: stored and deleted, or dead letters. */
  readonly settled: number;
  /** Most messages that were received and not yet answered. */
  readonly peakInFlight: number;
  addSent(count: number): void;
  /** Resolves when the condition holds. Rejects when the signal says stop. */
  until(condition: () => boolean, signal: AbortSignal): Promise<void>;
  /** Asks the queue again and again until that many messages are settled. @param onSettled told how many more */
  watch(total: number, onSettled: (count: number) => void, signal: AbortSignal): Promise<void>;
}

/** Milliseconds between two questions to the queue, and between two looks at their answers. */
const POLL = 200;
const LOOK = 20;

export function createGauge(queue: Queue): Gauge {
  let sent = 0;
  let settled = 0;
  let peakInFlight = 0;
  return {
    get sent() {
      return sent;
    },
    get settled() {
      return settled;
    },
    get peakInFlight() {
      return peakInFlight;
    },
    addSent(count) {
      sent += count;
    },
    async until(condition, signal) {
      while (!condition()) await sleep(LOOK, undefined, { signal });
    },
    async watch(total, onSettled, signal) {
      while (settled < total) {
        await sleep(POLL, undefined, { signal });
        // Taken before, so that messages which are sent meanwhile do not count as settled.
        const sentBefore = sent;
        const { visible, delayed, inFlight } = await queue.state();
        peakInFlight = Math.max(peakInFlight, inFlight);
        const now = Math.max(settled, sentBefore - visible - delayed - inFlight);
        onSettled(now - settled);
        settled = now;
      }
    },
  };
}
