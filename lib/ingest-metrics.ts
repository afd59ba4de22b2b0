import { Duration, Stack } from 'aws-cdk-lib';
import { Metric, type MetricOptions, Stats } from 'aws-cdk-lib/aws-cloudwatch';
import type { Construct } from 'constructs';
import { METRICS } from '../lambda/names.ts';
import type { MaskedIngest } from './masked-ingest.ts';

/** A metric that the ingest function of this stack publishes. @param name a name of METRICS */
export function ingestMetric(scope: Construct, name: string, options: MetricOptions = {}): Metric {
  return new Metric({
    namespace: METRICS.namespace,
    metricName: name,
    dimensionsMap: { [METRICS.service]: Stack.of(scope).stackName },
    statistic: Stats.SUM,
    period: Duration.minutes(1),
    ...options,
  });
}

/**
 * A metric of the event source mapping.
 *
 * @see https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html#event-source-mapping-metrics
 */
export function mappingMetric({ mapping }: MaskedIngest, name: string, options: MetricOptions = {}): Metric {
  return new Metric({
    namespace: 'AWS/Lambda',
    metricName: name,
    dimensionsMap: { EventSourceMappingUUID: mapping.eventSourceMappingId },
    statistic: Stats.SUM,
    period: Duration.minutes(1),
    ...options,
  });
}
