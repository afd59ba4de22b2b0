import { Duration } from 'aws-cdk-lib';

/**
 * Times that have to fit each other, so each is derived from the one before.
 *
 * @see https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
 */

/** Of the ingest function: longer than an Aurora cluster takes to resume from zero, 15-30 s, and to take a batch. */
export const INGEST_TIMEOUT = Duration.seconds(60);

/** Receives after which a message is moved to the dead-letter queue; AWS advises at least 5. */
export const MAX_RECEIVE_COUNT = 5;

/** How long the queue keeps messages: how long an outage of everything behind it may last. */
export const RETENTION = Duration.days(10);

/** A move keeps the time of the first arrival, so dead letters are kept longer than messages of the queue. SQS's most. */
export const DEAD_LETTER_RETENTION = Duration.days(14);

/** Six times the function's timeout, for the retries of a throttled poller, and the time that a batch is collected. */
export function visibilityTimeout(batchingWindow: Duration): Duration {
  return Duration.seconds(6 * INGEST_TIMEOUT.toSeconds() + batchingWindow.toSeconds());
}

/** How often the partitions are looked at: often enough to try many times before a day without one begins. */
export const RETENTION_INTERVAL = Duration.hours(1);

/** Lambda's most: rows that came before their partition are moved, and there may be many. */
export const RETENTION_TIMEOUT = Duration.minutes(15);

/** How often the circuit breaker looks, and so how often a probe tries a write while it is open. */
export const BREAKER_INTERVAL = Duration.minutes(1);

/** Shorter than that, so that hardly ever two look at once. */
export const BREAKER_TIMEOUT = Duration.seconds(58);

/** Of the probe: less than the breaker waits for it, more than an Aurora cluster takes to resume from zero. */
export const PROBE_TIMEOUT = Duration.seconds(45);
