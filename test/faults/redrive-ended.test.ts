import { afterEach, describe, expect, it, vi } from 'vitest';
import { HOLD } from '../../bin/queue/held-messages.ts';
import { useCli } from '../support/cli.ts';
import { useDatabase } from '../support/database.ts';
import { at, body, drain, redrive } from '../support/dead-letters.ts';
import { type TestQueue, useQueues } from '../support/queue.ts';
import { allFailed, useQueueProxies } from '../support/queue-proxy.ts';

const database = useDatabase();
const createCli = useCli();
const createQueue = useQueues();
const createProxy = useQueueProxies();

afterEach(() => {
  vi.useRealTimers();
});

describe('vizard dead-letters redrive that is ended', () => {
  /** Everything that is in either queue ends as exactly one row. */
  async function expectEachStoredOnce(queue: TestQueue, users: readonly string[]): Promise<unknown> {
    const run = await drain(createCli(), queue, database.url);
    const rows = await database.rows<{ user_id: string }>('SELECT user_id FROM user_logins');
    expect(rows.map(({ user_id }) => user_id).toSorted()).toEqual(users.toSorted());
    return run;
  }

  const users = Array.from({ length: 800 }, (_, i) => `user-${i}`);

  it('by a kill in the middle loses nothing, and the next one doubles nothing', async () => {
    const queue = await createQueue();
    await queue.deadLetters?.send(users.map((user_id) => body({ user_id })));
    const running = createCli().start(['dead-letters', 'redrive', '--yes', ...at(queue)]);
    await vi.waitFor(async () => expect((await queue.state()).visible).toBeGreaterThan(100), {
      timeout: 20_000,
      interval: 1,
    });
    running.child.kill('SIGKILL');
    await running.result;
    const { visible } = await queue.state();

    // What it held comes back when the hold ends.
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + HOLD * 1000 });
    const { json } = await redrive(createCli(), queue, '--yes');
    vi.useRealTimers();

    expect(visible).toBeLessThan(800);
    expect((json() as { redriven: number }).redriven).toBeGreaterThanOrEqual(800 - visible);
    await expectEachStoredOnce(queue, users);
  });

  it('between sending and deleting leaves the event in both queues, and it is stored once', async () => {
    const queue = await createQueue();
    await queue.deadLetters?.send(users.slice(0, 100).map((user_id) => body({ user_id })));
    let deletes = 0;
    const endpointUrl = await createProxy(queue.endpointUrl, (action) => {
      if (action !== 'DeleteMessageBatch') return undefined;
      deletes++;
      return 'hang';
    });
    const running = createCli().start([
      'dead-letters',
      'redrive',
      '--yes',
      ...at({ queueUrl: queue.queueUrl, endpointUrl }),
    ]);
    await vi.waitFor(() => expect(deletes).toBeGreaterThan(0), 20_000);
    running.child.kill('SIGKILL');
    await running.result;

    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + HOLD * 1000 });
    const { json } = await redrive(createCli(), queue, '--yes');
    vi.useRealTimers();

    expect(json()).toMatchObject({ redriven: 100 });
    const run = await expectEachStoredOnce(queue, users.slice(0, 100));
    expect(run).toMatchObject({ received: 200, stored: 100, duplicates: 100 });
  });

  it('by SQS that does not delete some says that they are in both queues, and they are stored once', async () => {
    const queue = await createQueue();
    await queue.deadLetters?.send(users.slice(0, 100).map((user_id) => body({ user_id })));
    let deletes = 0;
    // One of the ten calls, and its repetition.
    const endpointUrl = await createProxy(queue.endpointUrl, (action, request) => {
      if (action !== 'DeleteMessageBatch') return undefined;
      deletes++;
      return deletes === 3 || deletes === 11 ? allFailed(request) : undefined;
    });

    const { exitCode, json } = await redrive(createCli(), { ...queue, endpointUrl }, '--yes');

    expect(exitCode).toBe(1);
    expect(json()).toMatchObject({ redriven: 90, inBoth: 10 });
    expect(await queue.deadLetters?.state()).toMatchObject({ visible: 10, inFlight: 0 });
    const again = await createCli().run(['dead-letters', 'redrive', '--yes', ...at(queue)]);
    expect(again.exitCode).toBe(0);
    const run = await expectEachStoredOnce(queue, users.slice(0, 100));
    expect(run).toMatchObject({ received: 110, stored: 100, duplicates: 10 });
  });

  it('by SQS that deletes some only at the second try has redriven them', async () => {
    const queue = await createQueue();
    await queue.deadLetters?.send(users.slice(0, 100).map((user_id) => body({ user_id })));
    let deletes = 0;
    const endpointUrl = await createProxy(queue.endpointUrl, (action, request) =>
      action === 'DeleteMessageBatch' && ++deletes === 3 ? allFailed(request) : undefined,
    );

    const { exitCode, json } = await redrive(createCli(), { ...queue, endpointUrl }, '--yes');

    expect(exitCode).toBe(0);
    expect(json()).toMatchObject({ redriven: 100, inBoth: 0 });
    expect(await queue.deadLetters?.state()).toMatchObject({ visible: 0, inFlight: 0 });
  });

  it.each([
    ['sends', 'SendMessageBatch'],
    ['deletes', 'DeleteMessageBatch'],
  ])('by SQS that no longer %s says what it did before, then why it ended', async (_name, failing) => {
    const queue = await createQueue();
    await queue.deadLetters?.send(users.map((user_id) => body({ user_id })));
    let calls = 0;
    const endpointUrl = await createProxy(queue.endpointUrl, (action) =>
      action === failing && ++calls > 25 ? { error: 'AccessDenied' } : undefined,
    );

    const { exitCode, json, stderr } = await redrive(createCli(), { ...queue, endpointUrl }, '--yes');
    const told = json() as { redriven: number; inBoth: number; unseen: number };

    expect(exitCode).toBe(2);
    expect(told).toMatchObject({ redriven: 200, inBoth: 100, unseen: 500, failed: 'AccessDenied' });
    expect(stderr).toMatch(/\nvizard: the queue \S+ cannot be reached \(AccessDenied\).*\n$/);
    const left = (await queue.deadLetters!.state()).visible;
    expect(await queue.deadLetters?.state()).toMatchObject({ inFlight: 0 });
    expect(left).toBeGreaterThanOrEqual(500);
    await redrive(createCli(), queue, '--yes');
    await expectEachStoredOnce(queue, users);
  });

  it('by SIGTERM finishes what it has begun, says what it did, and gives the rest back', async () => {
    const queue = await createQueue();
    await queue.deadLetters?.send(users.map((user_id) => body({ user_id })));
    let deletes = 0;
    const stopped = Promise.withResolvers<undefined>();
    const endpointUrl = await createProxy(queue.endpointUrl, (action) =>
      action === 'DeleteMessageBatch' && ++deletes > 15 ? stopped.promise : undefined,
    );
    const running = createCli().start([
      'dead-letters',
      'redrive',
      '--yes',
      '--json',
      ...at({ queueUrl: queue.queueUrl, endpointUrl }),
    ]);
    await vi.waitFor(() => expect(deletes).toBeGreaterThan(15), 20_000);
    running.child.kill('SIGTERM');
    stopped.resolve(undefined);
    const { exitCode, json } = await running.result;

    const { redriven } = json() as { redriven: number };
    expect(exitCode).toBe(143);
    expect(redriven).toBeGreaterThanOrEqual(100);
    expect(await queue.state()).toMatchObject({ visible: redriven });
    expect(await queue.deadLetters?.state()).toMatchObject({ visible: 800 - redriven, inFlight: 0 });
  });
});
