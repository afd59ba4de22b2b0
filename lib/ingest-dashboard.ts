import { Duration, Stack } from 'aws-cdk-lib';
import {
  Dashboard,
  GraphWidget,
  type IMetric,
  type IWidget,
  MathExpression,
  Metric,
  Stats,
  TextWidget,
} from 'aws-cdk-lib/aws-cloudwatch';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { METRICS } from '../lambda/names.ts';
import { ingestMetric } from './ingest-metrics.ts';
import type { MaskedIngest } from './masked-ingest.ts';
import type { Retention } from './retention.ts';
import { RETENTION_INTERVAL } from './timing.ts';

export interface IngestDashboardProps {
  readonly ingest: MaskedIngest;
  readonly queue: IQueue;
  /** @default - not shown */
  readonly deadLetterQueue?: IQueue;
  /** Whose partitions are shown. @default - the table is a plain one */
  readonly retention?: Retention;
  /** An Aurora cluster. @default - the database is shown only by what the function sees of it */
  readonly clusterIdentifier?: string;
}

/** Reads from top to bottom: is it flowing, how far behind, what is refused, what does the database do. */
export class IngestDashboard extends Construct {
  constructor(scope: Construct, id: string, props: IngestDashboardProps) {
    super(scope, id);
    new Dashboard(this, 'Dashboard', {
      defaultInterval: Duration.hours(3),
      widgets: [
        ...section('Is it flowing?', flowing(this, props)),
        ...section('How far behind?', behind(this, props)),
        ...section('What is refused?', refused(this, props)),
        ...section('What does the database do?', database(this, props)),
        ...(props.retention ? section('What does it keep?', kept(this)) : []),
      ],
    });
  }
}

const PERIOD = Duration.minutes(1);

/** A heading and one row of equally wide graphs. */
function section(heading: string, graphs: readonly Graph[]): IWidget[][] {
  const width = 24 / graphs.length;
  return [
    [new TextWidget({ markdown: `## ${heading}`, width: 24, height: 1 })],
    graphs.map(({ title, metrics }) => new GraphWidget({ title, left: [...metrics], width, height: 6 })),
  ];
}

interface Graph {
  readonly title: string;
  readonly metrics: readonly IMetric[];
}

function flowing(scope: Construct, { queue, ingest }: IngestDashboardProps): Graph[] {
  const { function: handler } = ingest.handler;
  return [
    {
      title: 'events a minute',
      metrics: [
        queue.metricNumberOfMessagesSent({ period: PERIOD, label: 'sent' }),
        ingestMetric(scope, METRICS.stored, { label: 'stored' }),
        ingestMetric(scope, METRICS.duplicates, { label: 'duplicates' }),
      ],
    },
    {
      title: 'invocations',
      metrics: [
        handler.metricInvocations({ period: PERIOD }),
        handler.metricErrors({ period: PERIOD }),
        handler.metricThrottles({ period: PERIOD }),
        handler.metric('ConcurrentExecutions', { period: PERIOD, statistic: Stats.MAXIMUM }),
      ],
    },
    {
      title: 'blocked invocations (share), and receiving stopped',
      metrics: [
        ingestMetric(scope, METRICS.blocked, { statistic: Stats.AVERAGE, label: 'blocked' }),
        ingestMetric(scope, METRICS.stopped, { statistic: Stats.MAXIMUM, label: 'stopped' }),
        ingestMetric(scope, METRICS.breakerOpened, { label: 'opened' }),
        ingestMetric(scope, METRICS.breakerClosed, { label: 'closed' }),
      ],
    },
    {
      title: 'events a batch',
      metrics: percentiles((statistic) =>
        ingestMetric(scope, METRICS.batchSize, { statistic, label: statistic }),
      ),
    },
  ];
}

function behind(scope: Construct, { queue }: IngestDashboardProps): Graph[] {
  return [
    {
      title: 'messages in the queue',
      metrics: [
        queue.metricApproximateNumberOfMessagesVisible({ period: PERIOD, label: 'waiting' }),
        queue.metricApproximateNumberOfMessagesNotVisible({ period: PERIOD, label: 'in flight or failed' }),
      ],
    },
    {
      title: 'age of the oldest message, seconds',
      metrics: [queue.metricApproximateAgeOfOldestMessage({ period: PERIOD, statistic: Stats.MAXIMUM })],
    },
    {
      title: 'from sent to committed, milliseconds',
      metrics: percentiles((statistic) => ingestMetric(scope, METRICS.lag, { statistic, label: statistic })),
    },
  ];
}

function refused(scope: Construct, { deadLetterQueue }: IngestDashboardProps): Graph[] {
  const { namespace, service, code, rejected } = METRICS;
  const byCode = new MathExpression({
    expression: `SEARCH('{${namespace},${service},${code}} MetricName="${rejected}" ${service}="${Stack.of(scope).stackName}"', 'Sum', 60)`,
    usingMetrics: {},
    label: '',
    period: PERIOD,
  });
  return [
    { title: 'rejected by reason', metrics: [byCode] },
    {
      title: 'handed back',
      metrics: [
        ingestMetric(scope, METRICS.rejected, { label: 'rejected' }),
        ingestMetric(scope, METRICS.retried, { label: 'to be retried' }),
      ],
    },
    ...(deadLetterQueue
      ? [
          {
            title: 'dead letters',
            metrics: [
              deadLetterQueue.metricApproximateNumberOfMessagesVisible({
                period: PERIOD,
                statistic: Stats.MAXIMUM,
              }),
            ],
          },
        ]
      : []),
  ];
}

function database(scope: Construct, { clusterIdentifier }: IngestDashboardProps): Graph[] {
  const stages = [METRICS.keysetTime, METRICS.parseTime, METRICS.maskTime, METRICS.writeTime];
  const cluster = (metricName: string, statistic: string) =>
    new Metric({
      namespace: 'AWS/RDS',
      metricName,
      dimensionsMap: { DBClusterIdentifier: clusterIdentifier! },
      statistic,
      period: PERIOD,
    });
  return [
    {
      title: 'milliseconds an invocation, by stage',
      metrics: stages.map((name) => ingestMetric(scope, name, { statistic: Stats.AVERAGE, label: name })),
    },
    {
      title: 'unreachable',
      metrics: [METRICS.databaseUnreachable, METRICS.keysetUnreachable].map((name) =>
        ingestMetric(scope, name, { label: name }),
      ),
    },
    ...(clusterIdentifier === undefined
      ? []
      : [
          {
            title: 'capacity units and connections',
            metrics: [
              cluster('ServerlessDatabaseCapacity', Stats.AVERAGE),
              cluster('DatabaseConnections', Stats.MAXIMUM),
            ],
          },
          {
            title: 'commit latency, milliseconds',
            metrics: [cluster('CommitLatency', Stats.AVERAGE)],
          },
        ]),
  ];
}

function kept(scope: Construct): Graph[] {
  const hourly = { statistic: Stats.MAXIMUM, period: RETENTION_INTERVAL };
  return [
    {
      title: 'days ahead that have a partition',
      metrics: [ingestMetric(scope, METRICS.partitionsAhead, { ...hourly, label: 'ahead' })],
    },
    {
      title: 'partitions dropped',
      metrics: [
        ingestMetric(scope, METRICS.partitionsDropped, { ...hourly, statistic: Stats.SUM, label: 'dropped' }),
      ],
    },
    {
      title: 'events that were too old when they came',
      metrics: [
        ingestMetric(scope, METRICS.expiredRows, { ...hourly, statistic: Stats.SUM, label: 'deleted' }),
      ],
    },
  ];
}

function percentiles(metric: (statistic: string) => IMetric): IMetric[] {
  return [Stats.percentile(50), Stats.percentile(99), Stats.MAXIMUM].map(metric);
}
