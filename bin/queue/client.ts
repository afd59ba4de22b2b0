import { SQSClient, type SQSClientConfig } from '@aws-sdk/client-sqs';
import { VizardError } from '../../lambda/errors.ts';

/** Where a queue is. Without an endpoint the host of the queue's URL is spoken to. */
export interface QueueAddress {
  readonly queueUrl: string;
  readonly endpointUrl?: string | undefined;
}

/** A client whose every failure is a VizardError that names the queue. */
export function queueClient({ queueUrl, endpointUrl }: QueueAddress): SQSClient {
  const client = new SQSClient(clientConfig(endpointUrl ?? queueUrl));
  client.middlewareStack.add(
    (next) => (args) => next(args).catch((error: unknown) => Promise.reject(explain(error, queueUrl))),
    { step: 'initialize', name: 'explainFailure' },
  );
  return client;
}

/** A call that the queue or the way to it refused; `code` is the name of AWS's error or a system error code. */
export class QueueFailure extends VizardError {
  override readonly name = 'QueueFailure';
  readonly code: string;

  constructor(queueUrl: string, code: string) {
    super(
      `the queue ${queueUrl} cannot be reached (${code}); check --queue-url, --endpoint-url and your credentials`,
    );
    this.code = code;
  }
}

function explain(error: unknown, queueUrl: string): QueueFailure {
  const { name, code } = error as { name?: unknown; code?: unknown };
  const isName = (text: unknown): text is string => typeof text === 'string' && /^\w{3,60}$/.test(text);
  return new QueueFailure(queueUrl, [code, name].find(isName) ?? 'unknown');
}

/** Milliseconds; what does not answer must not hold up a person for ever. `requestTimeout` alone only warns. */
const TIMEOUTS = { connectionTimeout: 5_000, requestTimeout: 30_000, throwOnRequestTimeout: true };

/** @param url where the queue is spoken to */
export function clientConfig(url: string): SQSClientConfig {
  const region = /\.([a-z]{2}(?:-[a-z]+)+-\d)\./.exec(new URL(url).hostname)?.[1] ?? process.env.AWS_REGION;
  const config: SQSClientConfig = {
    region: region ?? process.env.AWS_DEFAULT_REGION ?? 'us-east-1',
    endpoint: new URL(url).origin,
    useQueueUrlAsEndpoint: false,
    requestHandler: TIMEOUTS,
  };
  // Emulators take any credentials; asking the provider chain would search the network for some.
  if (!isAws(url) && !process.env.AWS_ACCESS_KEY_ID && !process.env.AWS_PROFILE) {
    config.credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
  }
  return config;
}

function isAws(url: string): boolean {
  return /\.amazonaws\.com(\.cn)?$/.test(new URL(url).hostname);
}
