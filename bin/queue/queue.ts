import {
  type BatchResultErrorEntry,
  ChangeMessageVisibilityBatchCommand,
  CreateQueueCommand,
  DeleteMessageBatchCommand,
  GetQueueAttributesCommand,
  type Message,
  QueueAttributeName,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SetQueueAttributesCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { clientConfig, type QueueAddress, QueueFailure, queueClient } from './client.ts';
import { queueName } from './name.ts';
import { CALL_SIZE, callsOf, type OutgoingMessage, refusalOf } from './outgoing-message.ts';

/** Calls that are made at a time where there are many. */
const PARALLEL_CALLS = 20;

/** One queue, spoken to over the SQS protocol. Every method throws a VizardError when the queue can't be reached. */
export interface Queue {
  /** Sends messages in their order; text is a message without attributes. @returns what came of each */
  send(messages: readonly (string | OutgoingMessage)[]): Promise<SendResult[]>;
  /**
   * At most `max` messages, with all attributes; waits up to `waitSeconds` for the first one.
   *
   * @param hideSeconds how long they are invisible to others. @default as the queue has it
   */
  receive(max: number, waitSeconds: number, hideSeconds?: number): Promise<Message[]>;
  /** @returns those that SQS has refused to delete twice */
  delete<R extends Receipt>(messages: readonly R[]): Promise<R[]>;
  /**
   * Sets how long the messages stay invisible from now on; 0 gives them back at once.
   *
   * @returns those of which SQS has refused it twice
   */
  hide<R extends Receipt>(messages: readonly R[], seconds: number): Promise<R[]>;
  /** How many messages are there, and what its redrive policy says. Counts are approximate on AWS. */
  state(): Promise<QueueState>;
  close(): void;
}

/** The messageId, or the code with which SQS refused the message. */
export type SendResult = { readonly messageId: string } | { readonly refused: string };

/** What SQS knows a received message by. */
export type Receipt = Pick<Message, 'ReceiptHandle'>;

export interface QueueState {
  readonly visible: number;
  readonly inFlight: number;
  readonly delayed: number;
  /** Receives after which SQS moves a message to the dead-letter queue; undefined where there is none. */
  readonly maxReceiveCount: number | undefined;
  /** The dead-letter queue's name; it is of the same account and region. */
  readonly deadLetterQueue: string | undefined;
}

export function openQueue(address: QueueAddress): Queue {
  const client = queueClient(address);
  const QueueUrl = address.queueUrl;

  async function sendCall(messages: readonly OutgoingMessage[]): Promise<SendResult[]> {
    const Entries = messages.map(({ body, attributes }, i) => ({
      Id: String(i),
      MessageBody: body,
      MessageAttributes: attributes,
    }));
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
    async send(messages) {
      const outgoing = messages.map((message) => (typeof message === 'string' ? { body: message } : message));
      const refusals = outgoing.map(refusalOf);
      const calls = callsOf(outgoing.filter((_, i) => refusals[i] === undefined));
      const results = (await inRounds(calls, sendCall)).flat().values();
      return refusals.map((refused) => (refused === undefined ? results.next().value! : { refused }));
    },
    async receive(max, waitSeconds, hideSeconds) {
      try {
        const { Messages = [] } = await client.send(
          new ReceiveMessageCommand({
            QueueUrl,
            MaxNumberOfMessages: Math.min(max, CALL_SIZE),
            WaitTimeSeconds: waitSeconds,
            VisibilityTimeout: hideSeconds,
            MessageSystemAttributeNames: ['All'],
            MessageAttributeNames: ['All'],
          }),
        );
        return Messages;
      } catch (error) {
        // Too many messages in flight: a call that waits gets an empty answer then, one that does not gets this.
        if (error instanceof QueueFailure && error.code === 'OverLimit') return [];
        throw error;
      }
    },
    delete(messages) {
      return twice(messages, (Entries) => client.send(new DeleteMessageBatchCommand({ QueueUrl, Entries })));
    },
    hide(messages, seconds) {
      return twice(messages, (entries) => {
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
        ...redrivePolicy(Attributes.RedrivePolicy),
      };
    },
    close: () => client.destroy(),
  };
}

export interface QueueSettings {
  readonly maxReceiveCount: number;
  readonly visibilityTimeoutSeconds: number;
}

/**
 * Creates `name` and its dead-letter queue `name-dlq`, or takes the ones that are there, which get these settings too.
 *
 * @returns the queue's URL
 */
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
    // Not with the settings: SQS refuses to create what is there with others.
    const { QueueUrl } = await client.send(new CreateQueueCommand({ QueueName: name }));
    const settings = { RedrivePolicy, VisibilityTimeout };
    await client.send(new SetQueueAttributesCommand({ QueueUrl, Attributes: settings }));
    return QueueUrl!;
  } finally {
    client.destroy();
  }
}

interface ReceiptEntry {
  readonly Id: string;
  readonly ReceiptHandle: string | undefined;
}

/** Makes the calls, and others for what they name as failed. @returns what failed both times */
async function twice<R extends Receipt>(
  messages: readonly R[],
  make: (entries: ReceiptEntry[]) => Promise<{ readonly Failed?: BatchResultErrorEntry[] | undefined }>,
): Promise<R[]> {
  async function call(group: readonly R[]): Promise<R[]> {
    const { Failed = [] } = await make(
      group.map(({ ReceiptHandle }, i) => ({ Id: String(i), ReceiptHandle })),
    );
    return Failed.map(({ Id }) => group[Number(Id)]!);
  }
  const failed = await inRounds(groupsOf(messages), call);
  return (await inRounds(groupsOf(failed.flat()), call)).flat();
}

function groupsOf<R>(messages: readonly R[]): R[][] {
  const groups: R[][] = [];
  for (let i = 0; i < messages.length; i += CALL_SIZE) groups.push(messages.slice(i, i + CALL_SIZE));
  return groups;
}

/** @returns the answers in the order of the calls @throws the first failure, when no other call is under way any more */
async function inRounds<C, A>(calls: readonly C[], make: (call: C) => Promise<A>): Promise<A[]> {
  const answers: A[] = [];
  for (let i = 0; i < calls.length; i += PARALLEL_CALLS) {
    const round = calls.slice(i, i + PARALLEL_CALLS).map(make);
    await Promise.allSettled(round);
    answers.push(...(await Promise.all(round)));
  }
  return answers;
}

function redrivePolicy(json: string | undefined): Pick<QueueState, 'maxReceiveCount' | 'deadLetterQueue'> {
  const policy = (json ? JSON.parse(json) : {}) as {
    maxReceiveCount?: unknown;
    deadLetterTargetArn?: unknown;
  };
  const count = Number(policy.maxReceiveCount);
  const { deadLetterTargetArn: arn } = policy;
  return {
    maxReceiveCount: Number.isFinite(count) ? count : undefined,
    deadLetterQueue: typeof arn === 'string' ? queueName(arn) : undefined,
  };
}
