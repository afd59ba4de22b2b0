import { Metrics, MetricUnit } from '@aws-lambda-powertools/metrics';
import type { Tick } from './breaker/breaker.ts';
import { DatabaseFailure, KeysetFailure, type VizardError } from './errors.ts';
import type { Rejection } from './events/rejection.ts';
import type { Observer } from './function.ts';
import type { BatchReport } from './ingest.ts';
import { METRICS } from './names.ts';
import type { KeptPartitions } from './partition-keeper.ts';

/**
 * Publishes what became of each invocation as CloudWatch metrics in the embedded metric format, on standard output: one
 * object for the invocation, and one for each reason for which messages were rejected. Numbers and codes only.
 */
export function createMetrics(): Observer {
  const metrics = new Metrics({ namespace: METRICS.namespace });
  return {
    batch(report) {
      addCounts(metrics, report);
      addTimes(metrics, report);
      if (report.unreachable !== undefined) count(metrics, METRICS.databaseUnreachable, 1);
      metrics.publishStoredMetrics();
      publishReasons(metrics, report.rejected);
    },
    failed(error) {
      const name = reasonOf(error);
      if (name === undefined) return;
      count(metrics, name, 1);
      count(metrics, METRICS.blocked, 1);
      metrics.publishStoredMetrics();
    },
  };
}

/** Publishes what the circuit breaker did in a minute, in the same way. */
export function createBreakerMetrics(): (tick: Tick) => void {
  const metrics = new Metrics({ namespace: METRICS.namespace });
  return ({ stopped, opened, closed }) => {
    count(metrics, METRICS.stopped, stopped ? 1 : 0);
    if (opened) count(metrics, METRICS.breakerOpened, 1);
    if (closed) count(metrics, METRICS.breakerClosed, 1);
    metrics.publishStoredMetrics();
  };
}

/** Publishes what a look at the partitions found and did, in the same way. */
export function createRetentionMetrics(): (kept: KeptPartitions) => void {
  const metrics = new Metrics({ namespace: METRICS.namespace });
  return ({ ahead, dropped, expiredRows }) => {
    count(metrics, METRICS.partitionsAhead, ahead);
    count(metrics, METRICS.partitionsDropped, dropped);
    count(metrics, METRICS.expiredRows, expiredRows);
    metrics.publishStoredMetrics();
  };
}

/** True when nothing of the batch is in the table, and not because of what its messages hold; undefined when that is why. */
function isBlocked({ stored, duplicates, retried }: BatchReport): boolean | undefined {
  if (stored + duplicates > 0) return false;
  return retried.length > 0 ? true : undefined;
}

function addCounts(metrics: Metrics, report: BatchReport): void {
  const { received, stored, duplicates, rejected, retried } = report;
  count(metrics, METRICS.batchSize, received);
  count(metrics, METRICS.stored, stored);
  count(metrics, METRICS.duplicates, duplicates);
  count(metrics, METRICS.rejected, rejected.length);
  count(metrics, METRICS.retried, retried.length);
  const blocked = isBlocked(report);
  if (blocked !== undefined) count(metrics, METRICS.blocked, blocked ? 1 : 0);
}

function addTimes(metrics: Metrics, { milliseconds, lag }: BatchReport): void {
  const add = (name: string, value: number) =>
    metrics.addMetric(name, MetricUnit.Milliseconds, Number(value.toFixed(2)));
  add(METRICS.keysetTime, milliseconds.keyset);
  add(METRICS.parseTime, milliseconds.parse);
  add(METRICS.maskTime, milliseconds.mask);
  add(METRICS.writeTime, milliseconds.write);
  if (lag !== undefined) add(METRICS.lag, lag);
}

function publishReasons(metrics: Metrics, rejected: readonly Rejection[]): void {
  for (const [code, rejections] of Map.groupBy(rejected, ({ code }) => code)) {
    // Publishes as soon as it has its value.
    count(metrics.singleMetric().addDimension(METRICS.code, code), METRICS.rejected, rejections.length);
  }
}

function count(metrics: Metrics, name: string, value: number): void {
  metrics.addMetric(name, MetricUnit.Count, value);
}

/** Which of the things that everything depends on failed; Lambda itself counts the other errors. */
function reasonOf(error: VizardError): string | undefined {
  if (error instanceof DatabaseFailure) return METRICS.databaseUnreachable;
  return error instanceof KeysetFailure ? METRICS.keysetUnreachable : undefined;
}
