import { Metrics, MetricUnit } from '@aws-lambda-powertools/metrics';
import { DatabaseFailure, KeysetFailure, type VizardError } from './errors.ts';
import type { Rejection } from './events/rejection.ts';
import type { Observer } from './function.ts';
import type { BatchReport } from './ingest.ts';
import { METRICS } from './names.ts';

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
      metrics.publishStoredMetrics();
    },
  };
}

function addCounts(metrics: Metrics, { received, stored, duplicates, rejected, retried }: BatchReport): void {
  count(metrics, METRICS.batchSize, received);
  count(metrics, METRICS.stored, stored);
  count(metrics, METRICS.duplicates, duplicates);
  count(metrics, METRICS.rejected, rejected.length);
  count(metrics, METRICS.retried, retried.length);
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
