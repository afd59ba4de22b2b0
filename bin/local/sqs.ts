import {
  ChangeMessageVisibilityBatchCommand,
  CreateQueueCommand,
  DeleteMessageBatchCommand,
  GetQueueAttributesCommand,
  type Message,
  QueueAttributeName,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SQSClient,
  type SQSClientConfig,
} from '@aws-sdk/client-sqs';
import { VizardError } from '../../lambda/errors.ts';

/** SQS takes and gives at most this many messages a call. */
const CALL_SIZE = 10;
/** SQS takes at most this many bytes a call, and so a message. */
const CALL_BYTES = 1024 * 1024;

/** One queue, spoken to over the SQS protocol. Every method throws a VizardError when the queue can't be reached. */
export interface Queue {
  /** Sends bodies in their order. @returns for each the messageId, or the code with which SQS refused it */
  send(bodies: readonly string[]): Promise<({ messageId: string } | { refused: string })[]>;
  /** At most `max` messages, with all attributes; waits up to `waitSeconds` for the first one. */
  receive(max: number, waitSeconds: number, signal: AbortSignal): Promise<Message[]>;
  delete(messages: readonly Message[]): Promise<void>;
  /** Sets how long the messages stay invisible from now on; 0 gives them back at once. */
  hide(messages: readonly Message[], seconds: number): Promise<void>;
  /** How many messages are there, and what its redrive policy says. Counts are approximate on AWS. */
  state(): Promise<QueueState>;
  close(): void;
}

export interface QueueState {
  readonly visible: number;
  readonly inFlight: number;
  readonly delayed: number;
  /** Receives after which SQS moves a message to the dead-letter queue; undefined where there is none. */
  readonly maxReceiveCount: number | undefined;
}

/** Where a queue is. Without an endpoint the host of the queue's URL is spoken to. */
export interface QueueAddress {
  readonly queueUrl: string;
  readonly endpointUrl?: string | undefined;
}

export function openQueue({ queueUrl, endpointUrl }: QueueAddress): Queue {
  const client = new SQSClient(clientConfig(endpointUrl ?? queueUrl));
  client.middlewareStack.add(
    (next) => (args) => next(args).catch((error: unknown) => Promise.reject(explain(error))),
    {
      step: 'initialize',
      name: 'explainFailure',
    },
  );
  const QueueUrl = queueUrl;

  function explain(error: unknown): unknown {
    const { name, code } = error as { name?: string; code?: string };
    if (name === 'AbortError') return error;
    return new VizardError(
      `the queue ${queueUrl} cannot be reached (${code ?? name}); check --queue-url and --endpoint-url`,
    );
  }

  async function sendCall(bodies: readonly string[]) {
    const Entries = bodies.map((MessageBody, i) => ({ Id: String(i), MessageBody }));
    const { Successful = [], Failed = [] } = await client.send(
      new SendMessageBatchCommand({ QueueUrl, Entries }),
    );
    const messageIds = new Map(Successful.map(({ Id, MessageId }) => [Id, MessageId!]));
    const refusals = new Map(Failed.map(({ Id, Code }) => [Id, Code ?? 'Unknown']));
    return Entries.map(({ Id }) => {
      const messageId = messageIds.get(Id);
      return messageId === undefined ? { refused: refusals.get(Id) ?? 'Unknown' } : { messageId };
    });
  }

  return {
    async send(bodies) {
      const results = await Promise.all(
        callsOf(bodies).map((call) => (call.length === 1 && tooLong(call[0]!) ? refuse() : sendCall(call))),
      );
      return results.flat();
    },
    async receive(max, waitSeconds, signal) {
      const { Messages = [] } = await client.send(
        new ReceiveMessageCommand({
          QueueUrl,
          MaxNumberOfMessages: Math.min(max, CALL_SIZE),
          WaitTimeSeconds: waitSeconds,
          MessageSystemAttributeNames: ['All'],
          MessageAttributeNames: ['All'],
        }),
        { abortSignal: signal },
      );
      return Messages;
    },
    async delete(messages) {
      await eachCall(messages, (Entries) =>
        client.send(new DeleteMessageBatchCommand({ QueueUrl, Entries })),
      );
    },
    async hide(messages, seconds) {
      await eachCall(messages, (entries) => {
        const Entries = entries.map((entry) => ({ ...entry, VisibilityTimeout: seconds }));
        return client.send(new ChangeMessageVisibilityBatchCommand({ QueueUrl, Entries }));
      });
    },
    async state() {
      const { Attributes = {} } = await client.send(
        new GetQueueAttributesCommand({ QueueUrl, AttributeNames: [QueueAttributeName.All] }),
      );
      return {
        visible: Number(Attributes.ApproximateNumberOfMessages ?? 0),
        inFlight: Number(Attributes.ApproximateNumberOfMessagesNotVisible ?? 0),
        delayed: Number(Attributes.ApproximateNumberOfMessagesDelayed ?? 0),
        maxReceiveCount: maxReceiveCount(Attributes.RedrivePolicy),
      };
    },
    close: () => client.destroy(),
  };
}

export interface QueueSettings {
  readonly maxReceiveCount: number;
  readonly visibilityTimeoutSeconds: number;
}

/** Creates `name` and its dead-letter queue `name-dlq`, or takes the ones that are there. @returns the queue's URL */
export async function createQueueWithDeadLetters(
  endpointUrl: string,
  name: string,
  { maxReceiveCount, visibilityTimeoutSeconds }: QueueSettings,
): Promise<string> {
  const client = new SQSClient(clientConfig(endpointUrl));
  try {
    const deadLetters = await client.send(new CreateQueueCommand({ QueueName: `${name}-dlq` }));
    const { Attributes } = await client.send(
      new GetQueueAttributesCommand({ QueueUrl: deadLetters.QueueUrl, AttributeNames: ['QueueArn'] }),
    );
    const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: Attributes?.QueueArn, maxReceiveCount });
    const VisibilityTimeout = String(visibilityTimeoutSeconds);
    const { QueueUrl } = await client.send(
      new CreateQueueCommand({ QueueName: name, Attributes: { RedrivePolicy, VisibilityTimeout } }),
    );
    return QueueUrl!;
  } finally {
    client.destroy();
  }
}

/** @param url where the queue is spoken to */
function clientConfig(url: string): SQSClientConfig {
  const region = /\.([a-z]{2}(?:-[a-z]+)+-\d)\./.exec(new URL(url).hostname)?.[1] ?? process.env.AWS_REGION;
  const config: SQSClientConfig = {
    region: region ?? process.env.AWS_DEFAULT_REGION ?? 'us-east-1',
    endpoint: new URL(url).origin,
    useQueueUrlAsEndpoint: false,
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

/** Splits bodies so that each call stays within SQS's limits of count and bytes. */
function callsOf(bodies: readonly string[]): string[][] {
  const calls: string[][] = [];
  let bytes = 0;
  for (const body of bodies) {
    const size = Buffer.byteLength(body);
    const last = calls.at(-1);
    if (last === undefined || last.length === CALL_SIZE || bytes + size > CALL_BYTES) {
      calls.push([body]);
      bytes = size;
    } else {
      last.push(body);
      bytes += size;
    }
  }
  return calls;
}

function tooLong(body: string): boolean {
  return Buffer.byteLength(body) > CALL_BYTES;
}

async function refuse() {
  return [{ refused: 'too_long' }];
}

async function eachCall(
  messages: readonly Message[],
  call: (entries: { Id: string; ReceiptHandle: string | undefined }[]) => Promise<unknown>,
): Promise<void> {
  const entries = messages.map(({ ReceiptHandle }, i) => ({ Id: String(i), ReceiptHandle }));
  const calls: Promise<unknown>[] = [];
  for (let i = 0; i < entries.length; i += CALL_SIZE) calls.push(call(entries.slice(i, i + CALL_SIZE)));
  await Promise.all(calls);
}

function maxReceiveCount(redrivePolicy: string | undefined): number | undefined {
  if (redrivePolicy === undefined || redrivePolicy === '') return undefined;
  const count = Number((JSON.parse(redrivePolicy) as { maxReceiveCount?: unknown }).maxReceiveCount);
  return Number.isFinite(count) ? count : undefined;
}
