import type { SQSBatchResponse, SQSEvent, SQSRecord } from 'aws-lambda';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type EventSourceMapping, runEventSourceMapping } from '../../bin/local/event-source-mapping.ts';
import { openQueue, type Queue } from '../../bin/queue/queue.ts';
import { type TestQueue, useQueues } from '../support/queue.ts';
import { useQueueProxies } from '../support/queue-proxy.ts';

const createQueue = useQueues();
const createProxy = useQueueProxies();

const bodies = (count: number) => Array.from({ length: count }, (_, i) => `message ${i}`);

/** The queue, spoken to through a proxy. */
function openedAt(endpointUrl: string, { queueUrl }: TestQueue): Queue {
  const queue = openQueue({ queueUrl, endpointUrl });
  onTestFinished(() => queue.close());
  return queue;
}

const allWell = async (): Promise<SQSBatchResponse> => ({ batchItemFailures: [] });

const failing = (isBad: (record: SQSRecord) => boolean) => async (event: SQSEvent) => ({
  batchItemFailures: event.Records.filter(isBad).map(({ messageId }) => ({ itemIdentifier: messageId })),
});

/** Runs the mapping and collects what it hands to the function. */
async function drain(queue: Queue, changes: Partial<EventSourceMapping> = {}) {
  const batches: SQSRecord[][] = [];
  const counts = { received: 0, exhausted: 0, failures: 0 };
  const handler = changes.handler ?? allWell;
  await runEventSourceMapping({
    queue,
    batchSize: 1_000,
    maxReceiveCount: 2,
    exclusive: true,
    follow: false,
    signal: new AbortController().signal,
    onAnswer({ received, exhausted }) {
      counts.received += received;
      counts.exhausted += exhausted.length;
    },
    onFailure() {
      counts.failures++;
    },
    ...changes,
    handler(event, context) {
      batches.push(event.Records);
      return handler(event, context);
    },
  });
  return { batches, ...counts };
}

describe('the event source mapping in small', () => {
  it('hands over every message once, in batches of at most the size that was asked for', async () => {
    const queue = await createQueue();
    await queue.send(bodies(95));

    const { batches, received } = await drain(queue, { batchSize: 40 });

    expect(received).toBe(95);
    expect(batches.every((batch) => batch.length <= 40)).toBe(true);
    expect(new Set(batches.flat().map(({ body }) => body))).toEqual(new Set(bodies(95)));
    expect(await queue.state()).toMatchObject({ visible: 0, inFlight: 0 });
  });

  it('passes on what Lambda passes on', async () => {
    const queue = await createQueue();
    await queue.send(['{}']);

    const { batches } = await drain(queue);

    expect(batches[0]?.[0]).toMatchObject({
      body: '{}',
      messageAttributes: {},
      attributes: { ApproximateReceiveCount: '1', SentTimestamp: expect.stringMatching(/^\d{13}$/) },
    });
  });

  it('leaves what fails to SQS, which moves it to the dead-letter queue after maxReceiveCount', async () => {
    const queue = await createQueue({ maxReceiveCount: 3 });
    await queue.send(bodies(20));

    const { batches, exhausted } = await drain(queue, {
      handler: failing(({ body }) => body === 'message 7'),
    });

    expect(batches.flat().filter(({ body }) => body === 'message 7')).toHaveLength(3);
    expect(exhausted).toBe(1);
    expect(await queue.state()).toMatchObject({ visible: 0, inFlight: 0 });
    expect(await queue.deadLetters?.state()).toMatchObject({ visible: 1 });
  });

  it('leaves it in a queue that has no dead-letter queue, and ends', async () => {
    const queue = await createQueue({ maxReceiveCount: undefined });
    await queue.send(bodies(3));

    const { batches, exhausted } = await drain(queue, {
      handler: failing(({ body }) => body === 'message 1'),
      exclusive: false,
    });

    expect(batches.flat()).toHaveLength(4);
    expect(exhausted).toBe(1);
    expect(await queue.state()).toMatchObject({ visible: 0, inFlight: 1 });
  });

  it('holds a batch through an outage, so that it costs no receives', async () => {
    const queue = await createQueue();
    await queue.send(bodies(5));
    let outages = 2;

    const { batches, failures, received } = await drain(queue, {
      async handler() {
        if (outages-- > 0) throw new Error('outage');
        return { batchItemFailures: [] };
      },
    });

    expect({ failures, received }).toEqual({ failures: 2, received: 5 });
    expect(batches).toHaveLength(3);
    expect(batches.flat().every(({ attributes }) => attributes.ApproximateReceiveCount === '1')).toBe(true);
  });

  it('gives the batch back and fails when the outage lasts', async () => {
    const queue = await createQueue();
    await queue.send(bodies(5));
    const handler = async () => {
      throw new Error('outage');
    };

    await expect(drain(queue, { handler })).rejects.toThrow('outage');

    expect(await queue.state()).toMatchObject({ visible: 5, inFlight: 0 });
  });

  it('finishes the batch in flight when it is stopped', async () => {
    const queue = await createQueue();
    await queue.send(bodies(30));
    const stop = new AbortController();

    const { received } = await drain(queue, {
      batchSize: 10,
      signal: stop.signal,
      async handler() {
        stop.abort();
        return { batchItemFailures: [] };
      },
    });

    expect(received).toBe(10);
    expect(await queue.state()).toMatchObject({ visible: 20, inFlight: 0 });
  });

  it('leaves no message in flight that comes while it is being stopped', async () => {
    const queue = await createQueue();
    const polling = Promise.withResolvers<void>();
    const endpointUrl = await createProxy(queue.endpointUrl, (action) => {
      if (action === 'ReceiveMessage') polling.resolve();
      return undefined;
    });
    const stop = new AbortController();

    const following = drain(openedAt(endpointUrl, queue), { follow: true, signal: stop.signal });
    await polling.promise;
    stop.abort();
    await queue.send(['late']);
    const { received } = await following;

    expect(await queue.state()).toMatchObject({ visible: 1 - received, inFlight: 0 });
  });

  it('ends although the queue does not answer, when it is stopped', async () => {
    const queue = await createQueue();
    const polling = Promise.withResolvers<void>();
    const endpointUrl = await createProxy(queue.endpointUrl, (action) => {
      if (action !== 'ReceiveMessage') return undefined;
      polling.resolve();
      return 'hang';
    });
    const stop = new AbortController();

    const following = drain(openedAt(endpointUrl, queue), { follow: true, signal: stop.signal });
    await polling.promise;
    stop.abort();

    expect(await following).toMatchObject({ received: 0 });
  });

  it('gives the batch in flight back when it does not finish', async () => {
    const queue = await createQueue();
    await queue.send(bodies(10));
    const stop = new AbortController();

    await drain(queue, {
      signal: stop.signal,
      handler() {
        stop.abort();
        return new Promise(() => {});
      },
    });

    expect(await queue.state()).toMatchObject({ visible: 10, inFlight: 0 });
  });

  it('goes on polling when it is asked to follow, until it is stopped', async () => {
    const queue = await createQueue();
    const stop = new AbortController();
    let seen = 0;

    const following = drain(queue, {
      follow: true,
      signal: stop.signal,
      async handler(event) {
        seen += event.Records.length;
        if (seen === 2) stop.abort();
        else await queue.send(['second']);
        return { batchItemFailures: [] };
      },
    });
    await queue.send(['first']);
    await following;

    expect(seen).toBe(2);
  });
});
