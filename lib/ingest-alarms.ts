import { Duration, Stack } from 'aws-cdk-lib';
import { Alarm, ComparisonOperator, type IMetric, Stats, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { METRICS } from '../lambda/names.ts';
import { ingestMetric, mappingMetric } from './ingest-metrics.ts';
import type { MaskedIngest } from './masked-ingest.ts';
import type { Retention } from './retention.ts';
import { INGEST_TIMEOUT, RETENTION_INTERVAL, visibilityTimeout } from './timing.ts';

export interface IngestAlarmsProps {
  readonly ingest: MaskedIngest;
  readonly queue: IQueue;
  /** @default - not watched */
  readonly deadLetterQueue?: IQueue;
  /** Whose partitions are watched. @default - the table is a plain one */
  readonly retention?: Retention;
  /** How long the mapping collects a batch. @default 5 seconds */
  readonly batchingWindow?: Duration;
  /** Subscribed to the topic. @default - nobody */
  readonly email?: string;
  /** For the topic. @default - not encrypted */
  readonly encryptionKey?: IKey;
}

interface AlarmSpec {
  readonly metric: IMetric;
  readonly threshold: number;
  /** Whether it is bad to be below the threshold. @default false: above it */
  readonly below?: boolean;
  /** Periods of the metric, out of `of`, in which that is so: a batch that fails comes back only after a timeout. */
  readonly periods: number;
  readonly of: number;
  /** Whether no figure at all is a reason for the alarm. @default false */
  readonly silence?: boolean;
  readonly means: string;
  readonly first: string;
}

/** One topic, and the alarms that end there. Each says what it means, what to do first, and where to read on. */
export class IngestAlarms extends Construct {
  readonly topic: Topic;
  readonly alarms: readonly Alarm[];

  constructor(scope: Construct, id: string, props: IngestAlarmsProps) {
    super(scope, id);
    const { email, encryptionKey } = props;
    this.topic = new Topic(this, 'Topic', {
      displayName: 'Vizard alarms',
      enforceSSL: true,
      masterKey: encryptionKey,
    });
    // A policy of its own takes the place of the one by which an account's alarms may publish.
    this.topic.addToResourcePolicy(
      new PolicyStatement({
        principals: [new ServicePrincipal('cloudwatch.amazonaws.com')],
        actions: ['sns:Publish'],
        resources: [this.topic.topicArn],
        conditions: { StringEquals: { 'aws:SourceAccount': Stack.of(this).account } },
      }),
    );
    if (email !== undefined) this.topic.addSubscription(new EmailSubscription(email));
    this.alarms = Object.entries(alarmSpecs(this, props)).map(([name, spec]) => this.alarm(name, spec));
  }

  private alarm(name: string, spec: AlarmSpec): Alarm {
    const { metric, threshold, below = false, periods, of, silence = false, means, first } = spec;
    const alarm = new Alarm(this, name, {
      metric,
      threshold,
      comparisonOperator: below
        ? ComparisonOperator.LESS_THAN_THRESHOLD
        : ComparisonOperator.GREATER_THAN_THRESHOLD,
      datapointsToAlarm: periods,
      evaluationPeriods: of,
      treatMissingData: silence ? TreatMissingData.BREACHING : TreatMissingData.NOT_BREACHING,
      alarmDescription: `${means} First: ${first} Runbook: docs/operations.md#${runbookAnchor(name)}`,
    });
    alarm.addAlarmAction(new SnsAction(this.topic));
    alarm.addOkAction(new SnsAction(this.topic));
    return alarm;
  }
}

/** The heading of the alarm's section in the runbook, as Markdown makes it an anchor. */
export function runbookAnchor(alarm: string): string {
  return alarm.toLowerCase();
}

function alarmSpecs(scope: Construct, props: IngestAlarmsProps): Record<string, AlarmSpec> {
  const { ingest, queue, deadLetterQueue, retention, batchingWindow = Duration.seconds(5) } = props;
  const { function: handler } = ingest.handler;
  const period = Duration.minutes(1);
  // SQS passes over a message that was received three times, so one that is refused shows for three timeouts.
  const ageThreshold = 4 * visibilityTimeout(batchingWindow).toSeconds();
  return {
    ...(deadLetterQueue && {
      DeadLetters: {
        metric: deadLetterQueue.metricApproximateNumberOfMessagesVisible({
          period,
          statistic: Stats.MAXIMUM,
        }),
        threshold: 0,
        periods: 1,
        of: 1,
        means: 'Messages were given up: refused by a rule or by the database, or failed in every receive.',
        first: 'look in the log of the ingest function for "rejected" and the codes.',
      },
    }),
    OldestMessage: {
      metric: queue.metricApproximateAgeOfOldestMessage({ period, statistic: Stats.MAXIMUM }),
      threshold: ageThreshold,
      periods: 5,
      of: 5,
      means: `Events wait longer than ${Math.round(ageThreshold / 60)} minutes: less is stored than arrives, or nothing is received.`,
      first: 'see whether another alarm says why; if none does, raise maxConcurrency.',
    },
    Errors: {
      metric: handler.metricErrors({ period }),
      threshold: 0,
      periods: 2,
      of: 15,
      means:
        'Whole batches fail and come again; when the circuit breaker does not open, they end as dead letters.',
      first: 'read the message of the last error in the log of the ingest function.',
    },
    Throttles: {
      metric: handler.metricThrottles({ period }),
      threshold: 0,
      periods: 2,
      of: 15,
      means: 'Lambda has no room for the invocations; throttled messages use up their receives.',
      first: "compare the account's concurrency limit with what other functions take.",
    },
    Duration: {
      metric: handler.metricDuration({ period, statistic: Stats.percentile(99) }),
      threshold: 0.8 * INGEST_TIMEOUT.toMilliseconds(),
      periods: 2,
      of: 15,
      means: `Invocations take more than four fifths of their ${INGEST_TIMEOUT.toSeconds()} s: the database is slow or locked.`,
      first: 'look for locks and load on the database.',
    },
    FailedInvocations: {
      // Counts events that the function names as failed as well, and one that is refused is named once a timeout.
      metric: mappingMetric(ingest, 'FailedInvokeEventCount'),
      threshold: 0,
      periods: 15,
      of: 15,
      means: 'The event source mapping has failing events minute after minute.',
      first: 'see whether Rejected or Errors rises too; if neither, the function cannot be invoked.',
    },
    DatabaseUnreachable: {
      metric: ingestMetric(scope, METRICS.databaseUnreachable),
      threshold: 0,
      periods: 2,
      of: 15,
      means: 'The database does not answer, refuses the login, or does not fit this version.',
      first: 'look at the code in the log, then at the database.',
    },
    Stopped: {
      // The breaker says every minute that all is well, so that its own silence is noticed too.
      metric: ingestMetric(scope, METRICS.stopped, { statistic: Stats.MAXIMUM }),
      threshold: 0,
      periods: 5,
      of: 5,
      silence: true,
      means: 'Receiving is stopped, by the circuit breaker or by hand, or the breaker itself is silent.',
      first:
        'see whether DatabaseUnreachable or KeysetUnreachable says why; read the log of the circuit breaker.',
    },
    KeysetUnreachable: {
      metric: ingestMetric(scope, METRICS.keysetUnreachable),
      threshold: 0,
      periods: 2,
      of: 15,
      means:
        'The keyset cannot be had, or is not the one that wrote the table. So nothing is masked or stored.',
      first: 'look at the code in the log, then at the secret, its key and the endpoint.',
    },
    ...(retention && {
      Partitions: {
        // Of several runs in an hour the last good one counts.
        metric: ingestMetric(scope, METRICS.partitionsAhead, {
          statistic: Stats.MAXIMUM,
          period: RETENTION_INTERVAL,
        }),
        threshold: 3,
        below: true,
        periods: 3,
        of: 3,
        silence: true,
        means: 'Partitions are missing for the days to come, or nobody has looked for three to five hours.',
        first: 'read the last error in the log of the retention function.',
      },
    }),
  };
}
