import { CloudWatchClient, PutMetricDataCommand } from '@aws-sdk/client-cloudwatch';
import {
  GetEventSourceMappingCommand,
  GetFunctionConfigurationCommand,
  InvokeCommand,
  LambdaClient,
} from '@aws-sdk/client-lambda';
import { SNSClient, SubscribeCommand } from '@aws-sdk/client-sns';
import {
  CreateQueueCommand,
  DeleteQueueCommand,
  GetQueueAttributesCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import type { Outputs } from '../../bin/local/cdk.ts';
import { openQueue } from '../../bin/queue/queue.ts';
import { METRICS } from '../../lambda/names.ts';
import { readLog } from './emulated-aws.ts';

/** The circuit breaker of a deployment, as EventBridge, CloudWatch and an engineer have to do with it. */
export interface DeployedBreaker {
  /** One minute of it. */
  tick(): Promise<void>;
  /** Of the event source mapping: `Enabled`, `Disabled`, or on the way there. */
  mappingState(): Promise<string | undefined>;
  /** The shares that the ingest has reported so far. */
  reportedShares(): Promise<number[]>;
  /** Does what CloudWatch does with them, and what time does: the emulator takes no metrics from logs. */
  publish(shares: readonly number[]): Promise<void>;
  /** Subjects of what the topic was told since it was subscribed to. */
  told(): Promise<string[]>;
  close(): Promise<void>;
}

const MINUTE = 60_000;

/** The topic is subscribed to. */
export async function deployedBreaker(endpoint: string, outputs: Outputs): Promise<DeployedBreaker> {
  const config = {
    endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  };
  const [lambda, cloudWatch, sns, sqs] = [
    new LambdaClient(config),
    new CloudWatchClient(config),
    new SNSClient(config),
    new SQSClient(config),
  ];
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: 'engineer' }));
  const { Attributes } = await sqs.send(
    new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['QueueArn'] }),
  );
  await sns.send(
    new SubscribeCommand({ TopicArn: outputs.TopicArn, Protocol: 'sqs', Endpoint: Attributes!.QueueArn }),
  );
  const mail = openQueue({ queueUrl: QueueUrl!, endpointUrl: endpoint });
  const subjects: string[] = [];

  return {
    async tick() {
      const { FunctionError, Payload } = await lambda.send(
        new InvokeCommand({ FunctionName: outputs.BreakerFunctionName }),
      );
      if (FunctionError !== undefined) throw new Error(Buffer.from(Payload ?? []).toString());
    },
    async mappingState() {
      const { State } = await lambda.send(new GetEventSourceMappingCommand({ UUID: outputs.MappingId }));
      return State;
    },
    async reportedShares() {
      const { LoggingConfig } = await lambda.send(
        new GetFunctionConfigurationCommand({ FunctionName: outputs.FunctionName }),
      );
      const lines = await readLog(endpoint, LoggingConfig!.LogGroup!);
      return lines.map((line) => line[METRICS.blocked]).filter((value) => typeof value === 'number');
    },
    async publish(shares) {
      const now = Math.floor(Date.now() / MINUTE) * MINUTE;
      await cloudWatch.send(
        new PutMetricDataCommand({
          Namespace: METRICS.namespace,
          // The last one in the minute before this one.
          MetricData: shares.toReversed().map((Value, i) => ({
            MetricName: METRICS.blocked,
            Dimensions: [{ Name: METRICS.service, Value: 'Vizard' }],
            Timestamp: new Date(now - (i + 1) * MINUTE),
            Value,
          })),
        }),
      );
    },
    async told() {
      const messages = await mail.receive(10, 0);
      subjects.push(...messages.map(({ Body }) => (JSON.parse(Body!) as { Subject: string }).Subject));
      await mail.delete(messages);
      return subjects;
    },
    async close() {
      await sqs.send(new DeleteQueueCommand({ QueueUrl }));
      mail.close();
      for (const client of [lambda, cloudWatch, sns, sqs]) client.destroy();
    },
  };
}
