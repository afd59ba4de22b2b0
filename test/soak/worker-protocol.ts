import type { QueueAddress } from '../../bin/queue/client.ts';
import type { BatchReport } from '../../lambda/ingest.ts';
import type { LogFields } from '../../lambda/log.ts';

/** What a worker is told when it starts. */
export interface WorkerTask {
  readonly queue: QueueAddress;
  readonly databaseUrl: string;
}

export type WorkerMessage =
  /** An invocation begins. @param received messages that are new to this worker's function */
  | { readonly kind: 'invoked'; readonly received: number }
  | Answer
  /** It has thrown, so the batch is held and tried again. */
  | { readonly kind: 'thrown' }
  /** The process ends for this. */
  | { readonly kind: 'failed'; readonly error: LogFields };

/** An invocation has answered. */
export interface Answer extends Pick<BatchReport, 'duplicates'> {
  readonly kind: 'answered';
  readonly retried: number;
  /** Of a message that it does not name as failed. */
  readonly mostReceives: number;
}

/** What a worker can be told later: to kill itself when it has stored something next, before the queue gets to know. */
export const LOSE_ANSWER = 'lose answer';
