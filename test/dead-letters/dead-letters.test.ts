import { afterEach, describe, expect, it, vi } from 'vitest';
import { HOLD } from '../../bin/queue/held-messages.ts';
import { useCli } from '../support/cli.ts';
import { useDatabase } from '../support/database.ts';
import { at, bodies, body, drain, KINDS, sendUnreadable } from '../support/dead-letters.ts';
import { useQueues } from '../support/queue.ts';
import { useQueueProxies } from '../support/queue-proxy.ts';

const createCli = useCli();
const createQueue = useQueues();
const createProxy = useQueueProxies();

interface Listing {
  readonly count: number;
  readonly reasons: readonly { field: string; code: string; count: number; oldestSeconds: number }[];
  readonly messages: readonly {
    messageId: string;
    sentAt: string;
    ageSeconds: number;
    field: string;
    code: string;
  }[];
}

afterEach(() => {
  vi.useRealTimers();
});

describe('vizard dead-letters list', () => {
  const database = useDatabase();

  it('finds the reason of every message again that a run has rejected', async () => {
    const queue = await createQueue({ maxReceiveCount: 1 });
    await queue.send([...KINDS.map(([text]) => text), KINDS[0]![0], body()]);
    const cli = createCli();
    const run = await cli.run(['run', '--json', '--database-url', database.url, ...at(queue)]);

    const listed = await cli.run(['dead-letters', 'list', '--json', ...at(queue)]);

    const { rejections } = run.json() as { rejections: { messageId: string; field: string; code: string }[] };
    const { count, reasons, messages } = listed.json() as Listing;
    expect(listed.exitCode).toBe(0);
    expect(count).toBe(10);
    expect(reasons[0]).toMatchObject({ field: 'body', code: 'json', count: 2 });
    expect(new Set(reasons.map(({ field, code }) => `${field}: ${code}`))).toEqual(
      new Set(KINDS.map(([, reason]) => reason)),
    );
    const found = messages.map(({ messageId, field, code }) => `${messageId} ${field} ${code}`);
    const said = rejections.map(({ messageId, field, code }) => `${messageId} ${field} ${code}`);
    expect(found.toSorted()).toEqual(said.toSorted());
  });

  it('says how old they are, and shows the oldest first', async () => {
    const queue = await createQueue();
    vi.useFakeTimers({ toFake: ['Date'] });
    const now = Date.now();
    const sent = [273_600_000, 61_000, 90_000_000];
    for (const age of sent) {
      vi.setSystemTime(now - age);
      await queue.deadLetters?.send([body()]);
    }
    vi.useRealTimers();
    const cli = createCli();

    const { json } = await cli.run(['dead-letters', 'list', '--json', '--limit', '2', ...at(queue)]);
    const { stdout } = await cli.run(['dead-letters', 'list', ...at(queue)]);

    const { reasons, messages } = json() as Listing;
    expect(reasons).toMatchObject([{ field: null, code: 'storable', count: 3 }]);
    expect(reasons[0]!.oldestSeconds).toBeGreaterThanOrEqual(273_600);
    expect(messages.map(({ ageSeconds }) => Math.floor(ageSeconds / 100))).toEqual([2736, 900]);
    expect(messages[0]!.sentAt).toBe(new Date(now - 273_600_000).toISOString());
    expect(stdout).toContain(`3 dead letters of ${queue.queueUrl}, the oldest sent 3 d 4 h ago`);
    expect(stdout).toMatch(/│ – +│ storable +│ 3 +│ 3 d 4 h +│/);
  });

  it('counts every message once, and leaves all of them to the next who looks', async () => {
    const queue = await createQueue();
    await queue.deadLetters?.send(bodies(1_234));
    const cli = createCli();

    const first = await cli.run(['dead-letters', 'list', '--json', ...at(queue)]);
    const state = await queue.deadLetters?.state();
    const second = await cli.run(['dead-letters', 'list', '--json', '--limit', '0', ...at(queue)]);

    expect(first.json()).toMatchObject({ count: 1_234, unseen: 0, elsewhere: 0 });
    expect(first.stderr).toContain('looked at 1234/1234');
    expect(state).toMatchObject({ visible: 1_234, inFlight: 0 });
    expect(second.json()).toMatchObject({ count: 1_234, messages: [] });
  });

  it('gives everything back when it is interrupted', async () => {
    const queue = await createQueue();
    await queue.deadLetters?.send(bodies(500));
    let receives = 0;
    const interrupted = Promise.withResolvers<undefined>();
    const endpointUrl = await createProxy(queue.endpointUrl, (action) =>
      action === 'ReceiveMessage' && ++receives > 20 ? interrupted.promise : undefined,
    );
    const running = createCli().start(['dead-letters', 'list', '--json', ...at({ ...queue, endpointUrl })]);
    await vi.waitFor(() => expect(receives).toBeGreaterThan(20), 20_000);
    running.child.kill('SIGINT');
    interrupted.resolve(undefined);
    const { exitCode, json } = await running.result;

    expect(exitCode).toBe(130);
    expect((json() as Listing).count).toBeLessThan(500);
    expect(await queue.deadLetters?.state()).toMatchObject({ visible: 500, inFlight: 0 });
  });

  it('says what it has not seen when SQS hands out no more', async () => {
    const queue = await createQueue();
    await queue.deadLetters?.send(bodies(50));
    let received = 0;
    const endpointUrl = await createProxy(queue.endpointUrl, (action) => {
      if (action !== 'ReceiveMessage') return undefined;
      return ++received > 3 ? { error: 'OverLimit' } : undefined;
    });

    const { exitCode, stdout } = await createCli().run([
      'dead-letters',
      'list',
      ...at({ ...queue, endpointUrl }),
    ]);

    expect(exitCode).toBe(0);
    expect(stdout).toContain('30 dead letters of');
    expect(stdout).toContain('about 20 more were not looked at');
    expect(await queue.deadLetters?.state()).toMatchObject({ visible: 50, inFlight: 0 });
  });

  it('does not count as unseen what it has looked at, though SQS counts it still', async () => {
    const queue = await createQueue();
    await queue.deadLetters?.send(bodies(40));
    const endpointUrl = await createProxy(queue.endpointUrl, (action, { QueueUrl }) =>
      action === 'GetQueueAttributes' && QueueUrl.endsWith('-dlq')
        ? { answer: { Attributes: { ApproximateNumberOfMessages: '40' } } }
        : undefined,
    );

    const { json } = await createCli().run([
      'dead-letters',
      'list',
      '--json',
      ...at({ ...queue, endpointUrl }),
    ]);

    expect(json()).toMatchObject({ count: 40, unseen: 0 });
  });

  it('tells what it has seen before something failed, then what that was', async () => {
    const queue = await createQueue();
    await queue.deadLetters?.send(bodies(300));
    let receives = 0;
    const endpointUrl = await createProxy(queue.endpointUrl, (action) =>
      action === 'ReceiveMessage' && ++receives > 20 ? { error: 'AccessDenied' } : undefined,
    );

    const { exitCode, json, stderr } = await createCli().run([
      'dead-letters',
      'list',
      '--json',
      ...at({ ...queue, endpointUrl }),
    ]);

    const { count, unseen } = json() as { count: number; unseen: number };
    expect(exitCode).toBe(2);
    expect(json()).toMatchObject({ failed: 'AccessDenied' });
    expect(count).toBeGreaterThanOrEqual(100);
    expect(count + unseen).toBe(300);
    expect(stderr).toMatch(/\nvizard: the queue \S+ cannot be reached \(AccessDenied\).*\n$/);
    expect(await queue.deadLetters?.state()).toMatchObject({ visible: 300, inFlight: 0 });
  });

  it('tells all that it has seen where it could not be given back', async () => {
    const queue = await createQueue();
    await queue.deadLetters?.send(bodies(5));
    const endpointUrl = await createProxy(queue.endpointUrl, (action) =>
      action === 'ChangeMessageVisibilityBatch' ? { error: 'AccessDenied' } : undefined,
    );
    const address = at({ ...queue, endpointUrl });

    const { exitCode, json } = await createCli().run(['dead-letters', 'list', '--json', ...address]);

    expect(exitCode).toBe(2);
    expect(json()).toMatchObject({ count: 5, unseen: 0, failed: 'AccessDenied' });
  });

  it('is not stopped by a message with an attribute that cannot be read', async () => {
    const queue = await createQueue();
    await queue.deadLetters?.send([body()]);
    await sendUnreadable({ ...queue, queueUrl: `${queue.queueUrl}-dlq` });

    const { exitCode, json } = await createCli().run(['dead-letters', 'list', '--json', ...at(queue)]);

    expect(exitCode).toBe(0);
    expect(json()).toMatchObject({ count: 2, reasons: [{ code: 'storable', count: 2 }] });
  });

  it('is the place for nothing that only has an attribute that cannot be read', async () => {
    const queue = await createQueue();
    await queue.send([body()]);
    await sendUnreadable(queue);

    const run = await drain(createCli(), queue, database.url);

    expect(run).toMatchObject({ received: 2, stored: 2, rejected: 0 });
  });

  it('shows no bar for what there is not', async () => {
    const queue = await createQueue();

    const { stderr } = await createCli().run(['dead-letters', 'list', ...at(queue)]);

    expect(stderr).not.toContain('given back');
  });

  it('says what a command holds that was killed, which is back when the hold ends', async () => {
    const queue = await createQueue();
    await queue.deadLetters?.send(bodies(5));
    const endpointUrl = await createProxy(queue.endpointUrl, (action) =>
      action === 'ChangeMessageVisibilityBatch' ? 'hang' : undefined,
    );
    const cli = createCli();
    const killed = cli.start(['dead-letters', 'list', ...at({ ...queue, endpointUrl })]);
    await killed.shows('looked at 5/5');
    killed.child.kill('SIGKILL');
    await killed.result;

    const next = await cli.run(['dead-letters', 'list', ...at(queue)]);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + HOLD * 1000 });
    const later = await cli.run(['dead-letters', 'list', '--json', ...at(queue)]);

    expect(next.stdout).toContain('0 dead letters of');
    expect(next.stdout).toContain('about 5 more are being looked at by somebody else');
    expect(later.json()).toMatchObject({ count: 5 });
  });
});
