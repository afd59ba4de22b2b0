import { Rule, Schedule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import type { ITopic } from 'aws-cdk-lib/aws-sns';
import { type IStringParameter, StringParameter } from 'aws-cdk-lib/aws-ssm';
import { Construct } from 'constructs';
import { BREAKER_INITIAL_MEMORY, ENV } from '../lambda/names.ts';
import { acknowledge } from './acknowledge.ts';
import type { MaskedIngest } from './masked-ingest.ts';
import { ServiceFunction } from './service-function.ts';
import { BREAKER_INTERVAL, BREAKER_TIMEOUT } from './timing.ts';

export interface CircuitBreakerProps {
  /** Whose event source mapping is disabled and enabled, and whose probe is asked. */
  readonly ingest: MaskedIngest;
  /** Told when it opens, when it closes, and every hour between. */
  readonly topic: ITopic;
  /** Of the topic, and for logs. @default - the topic is not encrypted, logs by the key of CloudWatch Logs */
  readonly encryptionKey?: IKey;
}

/**
 * Stops receiving while nothing can be stored, so that messages wait in the queue instead of using up their receives, and
 * starts again when a probe can write. Every minute, outside of any VPC, because it talks to AWS and the probe to the database.
 */
export class CircuitBreaker extends Construct {
  readonly function: ServiceFunction;
  /** What it remembers from one minute to the next. */
  readonly memory: IStringParameter;

  constructor(scope: Construct, id: string, { ingest, topic, encryptionKey }: CircuitBreakerProps) {
    super(scope, id);
    const { mapping, probe } = ingest;
    this.memory = new StringParameter(this, 'Memory', {
      description:
        'Vizard: what the circuit breaker remembers; {"state":"closed"} when messages are received',
      stringValue: BREAKER_INITIAL_MEMORY,
    });
    this.function = new ServiceFunction(this, 'Default', {
      description: 'Vizard: stops receiving while nothing can be stored',
      entry: 'breaker.ts',
      timeout: BREAKER_TIMEOUT,
      environment: {
        [ENV.breakerMappingId]: mapping.eventSourceMappingId,
        [ENV.breakerProbeFunction]: probe.function.functionName,
        [ENV.breakerMemoryParameter]: this.memory.parameterName,
        [ENV.breakerTopicArn]: topic.topicArn,
      },
      eventStreams: true,
      encryptionKey,
    });
    // Lambda would try again beside the next minute, and keep what it cannot run for hours.
    this.function.function.configureAsyncInvoke({ retryAttempts: 0, maxEventAge: BREAKER_INTERVAL });
    const allow = (actions: string[], resource: string) =>
      this.function.role.addToPolicy(new PolicyStatement({ actions, resources: [resource] }));
    allow(['lambda:GetEventSourceMapping', 'lambda:UpdateEventSourceMapping'], mapping.eventSourceMappingArn);
    allow(['lambda:InvokeFunction'], probe.function.functionArn);
    allow(['ssm:GetParameter', 'ssm:PutParameter'], this.memory.parameterArn);
    allow(['sns:Publish'], topic.topicArn);
    // Metrics are no resources.
    allow(['cloudwatch:GetMetricData'], '*');
    encryptionKey?.grant(this.function.role, 'kms:Decrypt', 'kms:GenerateDataKey');
    new Rule(this, 'EveryMinute', {
      description: 'Vizard: the circuit breaker looks every minute',
      schedule: Schedule.rate(BREAKER_INTERVAL),
      // What was missed is made good in the next minute.
      targets: [
        new LambdaFunction(this.function.function, { retryAttempts: 0, maxEventAge: BREAKER_INTERVAL }),
      ],
    });
    acknowledge(this, {
      pack: 'solutions',
      rule: 'IAM5[Resource::*]',
      reason: 'Neither X-Ray nor the reading of metrics knows resources.',
    });
  }
}
