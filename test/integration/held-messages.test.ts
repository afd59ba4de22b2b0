import { afterEach, describe, expect, it, vi } from 'vitest';
import { createProgress } from '../../bin/local/progress.ts';
import { HOLD, holdMessages } from '../../bin/queue/held-messages.ts';
import { openQueue } from '../../bin/queue/queue.ts';
import { receiveUpTo } from '../../bin/queue/receive.ts';
import { bodies, receiveAll } from '../support/dead-letters.ts';
import { useQueues } from '../support/queue.ts';
import { allFailed, useQueueProxies } from '../support/queue-proxy.ts';

const createQueue = useQueues();
const createProxy = useQueueProxies();

afterEach(() => {
  vi.useRealTimers();
});

describe('messages that are held', () => {
  it('are hidden from others for as long as we look, however long that takes', async () => {
    vi.useFakeTimers({ toFake: ['Date', 'performance'] });
    const queue = await createQueue();
    await queue.send(bodies(10));
    const held = holdMessages(queue, new AbortController().signal);
    const first = await held.next(10);

    const others = [];
    for (let round = 0; round < 3; round++) {
      vi.advanceTimersByTime(0.6 * HOLD * 1000);
      others.push(...(await queue.receive(10, 0)));
      await held.next(10);
    }

    expect(first).toHaveLength(10);
    expect(others).toEqual([]);
  });

  it('are handed out once, and those that we know not at all', async () => {
    const queue = await createQueue();
    const sent = await queue.send(bodies(30));
    const ids = sent.map((result) => ('messageId' in result ? result.messageId : ''));
    const held = holdMessages(queue, new AbortController().signal);
    held.ignore(ids.slice(0, 5));

    const messages = [...(await held.next(15)), ...(await held.next(15)), ...(await held.next(15))];

    expect(messages.map(({ MessageId }) => MessageId!).toSorted()).toEqual(ids.slice(5).toSorted());
  });

  it('are visible again when they are given back, but for those that were deleted', async () => {
    const queue = await createQueue();
    await queue.send(bodies(25));
    const held = holdMessages(queue, new AbortController().signal);
    const messages = await held.next(25);
    await held.delete(messages.slice(0, 7));

    await held.giveBack(createProgress());

    expect(await queue.state()).toMatchObject({ visible: 18, inFlight: 0 });
    expect(await receiveAll(queue)).toHaveLength(18);
  });

  it('are handed over that came beside a call that failed', async () => {
    const queue = await createQueue();
    await queue.send(bodies(60));
    let receives = 0;
    const endpointUrl = await createProxy(queue.endpointUrl, (action) =>
      action === 'ReceiveMessage' && ++receives === 3 ? { error: 'AccessDenied' } : undefined,
    );
    const broken = openQueue({ queueUrl: queue.queueUrl, endpointUrl });

    const messages = await receiveUpTo(broken, 60, new AbortController().signal);
    broken.close();

    expect(messages).toHaveLength(50);
    expect(await queue.state()).toMatchObject({ visible: 10, inFlight: 50 });
  });

  it('stay held where SQS does not delete them, and are given back', async () => {
    const queue = await createQueue();
    await queue.send(bodies(25));
    const endpointUrl = await createProxy(queue.endpointUrl, (action, request) =>
      action === 'DeleteMessageBatch' && request.Entries?.length === 5 ? allFailed(request) : undefined,
    );
    const broken = openQueue({ queueUrl: queue.queueUrl, endpointUrl });
    const held = holdMessages(broken, new AbortController().signal);
    const messages = await held.next(25);

    const failed = await held.delete(messages);
    await held.giveBack(createProgress());
    broken.close();

    expect(failed).toEqual(messages.slice(20));
    expect(await queue.state()).toMatchObject({ visible: 5, inFlight: 0 });
  });
});
