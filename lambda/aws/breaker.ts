import { CloudWatchClient, GetMetricDataCommand } from '@aws-sdk/client-cloudwatch';
import {
  GetEventSourceMappingCommand,
  InvokeCommand,
  LambdaClient,
  UpdateEventSourceMappingCommand,
} from '@aws-sdk/client-lambda';
import { PublishCommand, SNSClient } from '@aws-sdk/client-sns';
import { GetParameterCommand, PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import type { Surroundings } from '../breaker/breaker.ts';
import { formatMemory, type MappingState, parseMemory } from '../breaker/circuit.ts';
import type { BreakerConfig } from '../config.ts';
import { AwsFailure } from '../errors.ts';
import { ENV, METRICS } from '../names.ts';
import { awsErrorCode, CLIENT_SETTINGS } from './sdk.ts';

/** Longer than the probe has, in milliseconds; and asked once, because the next minute asks again. */
const PROBE_SETTINGS = {
  maxAttempts: 1,
  requestHandler: { ...CLIENT_SETTINGS.requestHandler, requestTimeout: 50_000 },
} as const;

/** What the breaker has to do with, on AWS: the mapping, what the ingest reported, the probe, its memory, the topic. */
export function awsSurroundings(config: BreakerConfig): Surroundings {
  const { region, mappingId, probeFunction, memoryParameter, topicArn, service } = config;
  const settings = { region, ...CLIENT_SETTINGS };
  const lambda = new LambdaClient(settings);
  const probing = new LambdaClient({ region, ...PROBE_SETTINGS });
  const ssm = new SSMClient(settings);
  const cloudWatch = new CloudWatchClient(settings);
  const sns = new SNSClient(settings);

  async function enable(Enabled: boolean): Promise<void> {
    await named('the event source mapping', () =>
      lambda.send(new UpdateEventSourceMappingCommand({ UUID: mappingId, Enabled })),
    );
  }

  return {
    memory: {
      async read() {
        const { Parameter } = await named('the memory', () =>
          ssm.send(new GetParameterCommand({ Name: memoryParameter })),
        );
        return parseMemory(Parameter?.Value ?? '', ENV.breakerMemoryParameter);
      },
      async write(memory) {
        const Value = formatMemory(memory);
        await named('the memory', () =>
          ssm.send(new PutParameterCommand({ Name: memoryParameter, Value, Overwrite: true })),
        );
      },
    },
    mapping: {
      async state() {
        const { State } = await named('the event source mapping', () =>
          lambda.send(new GetEventSourceMappingCommand({ UUID: mappingId })),
        );
        return MAPPING_STATES[State ?? ''] ?? 'changing';
      },
      enable: () => enable(true),
      disable: () => enable(false),
    },
    async blockedShares(from, to) {
      const { MetricDataResults: [result] = [] } = await named('the metrics', () =>
        cloudWatch.send(
          new GetMetricDataCommand({
            StartTime: new Date(from),
            EndTime: new Date(to),
            ScanBy: 'TimestampDescending',
            MetricDataQueries: [{ Id: 'blocked', MetricStat: blockedShare(service) }],
          }),
        ),
      );
      // Else no figures would pass for no reports.
      if (result?.StatusCode !== 'Complete') throw unusable('the metrics', result?.StatusCode ?? 'unknown');
      return result.Values ?? [];
    },
    async probe() {
      const { FunctionError, Payload } = await named('the probe', () =>
        probing.send(new InvokeCommand({ FunctionName: probeFunction })),
      );
      return FunctionError === undefined ? undefined : messageOf(Payload);
    },
    async tell(Subject, Message) {
      await named('the topic', () => sns.send(new PublishCommand({ TopicArn: topicArn, Subject, Message })));
    },
  };
}

/** Others are on their way to one of these. @see https://docs.aws.amazon.com/lambda/latest/api/API_GetEventSourceMapping.html */
const MAPPING_STATES: Readonly<Record<string, MappingState>> = {
  Enabled: 'enabled',
  Disabled: 'disabled',
  Disabling: 'disabled',
};

/** The ingest publishes 0 or 1 for each invocation. */
function blockedShare(service: string) {
  const Dimensions = [{ Name: METRICS.service, Value: service }];
  const Metric = { Namespace: METRICS.namespace, MetricName: METRICS.blocked, Dimensions };
  return { Metric, Period: 60, Stat: 'Average' };
}

/** Of the error that Lambda passes on. Ours are one line without a value, and Lambda's own name its limits. */
function messageOf(payload: Uint8Array | undefined): string {
  try {
    const { errorMessage } = JSON.parse(Buffer.from(payload ?? []).toString()) as { errorMessage?: unknown };
    if (typeof errorMessage === 'string') return errorMessage;
  } catch {
    // No JSON.
  }
  return 'the probe failed without a message';
}

/** @throws AwsFailure that names what could not be reached */
async function named<T>(what: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw unusable(what, awsErrorCode(error));
  }
}

function unusable(what: string, code: string): AwsFailure {
  return new AwsFailure(`circuit breaker: ${what} cannot be used (${code})`, code);
}
