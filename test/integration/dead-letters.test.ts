import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CreateQueueCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { clientConfig } from '../../bin/queue/client.ts';
import { HOLD } from '../../bin/queue/held-messages.ts';
import { useCli } from '../support/cli.ts';
import { useDatabase } from '../support/database.ts';
import { at, bodies, body, KINDS } from '../support/dead-letters.ts';
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

describe('the queue whose dead letters are meant', () => {
  it('is of a running instance or a kept one where none is named', async () => {
    const cli = createCli();
    const dataDir = join(cli.directory, 'data');
    const input = join(cli.directory, 'input.jsonl');
    writeFileSync(input, `${body()}\n{}\n`);
    const running = cli.start(['run', '--follow', '--input', input, '--max-receive-count', '1']);
    await running.shows('ingested 2/2');

    const ofRunning = await cli.run(['dead-letters', 'list', '--json']);
    running.child.kill('SIGTERM');
    await running.result;
    await cli.run(['run', '--input', input, '--max-receive-count', '1', '--data-dir', dataDir]);
    const ofKept = await cli.run(['dead-letters', 'list', '--json', '--data-dir', dataDir]);

    expect(ofRunning.json()).toMatchObject({ count: 1, reasons: [{ field: 'user_id', code: 'missing' }] });
    expect(ofKept.json()).toMatchObject({ count: 1, reasons: [{ field: 'user_id', code: 'missing' }] });
  });

  it('is found where the dead-letter queue itself is named', async () => {
    const queue = await createQueue();
    await queue.deadLetters?.send(['{}']);
    const deadLetters = { ...queue, queueUrl: `${queue.queueUrl}-dlq` };

    const { stdout } = await createCli().run(['dead-letters', 'list', ...at(deadLetters)]);

    expect(stdout).toContain(`1 dead letters of ${queue.queueUrl},`);
  });

  it('is to be named where a dead-letter queue has several', async () => {
    const queue = await createQueue();
    const client = new SQSClient(clientConfig(queue.endpointUrl));
    const deadLetterTargetArn = 'arn:aws:sqs:us-east-1:000000000000:login-queue-dlq';
    const RedrivePolicy = JSON.stringify({ deadLetterTargetArn, maxReceiveCount: 3 });
    await client.send(new CreateQueueCommand({ QueueName: 'second-queue', Attributes: { RedrivePolicy } }));
    client.destroy();
    const deadLetters = { ...queue, queueUrl: `${queue.queueUrl}-dlq` };

    const { exitCode, stderr } = await createCli().run(['dead-letters', 'list', ...at(deadLetters)]);

    expect(exitCode).toBe(2);
    expect(stderr).toBe(
      `vizard: the queue ${deadLetters.queueUrl} is the dead-letter queue of several (login-queue, second-queue); name one of them with --queue-url\n`,
    );
  });

  it('has to have a dead-letter queue', async () => {
    const queue = await createQueue({ maxReceiveCount: undefined });

    const { exitCode, stderr } = await createCli().run(['dead-letters', 'list', ...at(queue)]);

    expect(exitCode).toBe(2);
    expect(stderr).toBe(
      `vizard: the queue ${queue.queueUrl} has no dead-letter queue: expected a redrive policy, got none; name the queue that events are sent to\n`,
    );
  });
});

describe('wrong use of dead-letters', () => {
  const nowhere = ['--queue-url', 'http://127.0.0.1:1/0/q'];
  it.each<[string[], string]>([
    [['dead-letters', 'bogus'], "unknown command 'bogus'"],
    [['dead-letters', 'list', 'file'], 'too many arguments'],
    [['dead-letters', 'list'], 'no running instance found'],
    [['dead-letters', 'list', '--data-dir', '/nowhere'], 'nothing is kept in /nowhere'],
    [['dead-letters', 'list', '--limit', '-1'], 'Expected a whole number from 0'],
    [
      ['dead-letters', 'list', ...nowhere],
      'the queue http://127.0.0.1:1/0/q cannot be reached (ECONNREFUSED)',
    ],
    [['dead-letters', 'list', '--endpoint-url', 'http://127.0.0.1:1'], '--endpoint-url needs --queue-url'],
    [['send', '/dev/null', '--endpoint-url', 'http://127.0.0.1:1'], '--endpoint-url needs --queue-url'],
    [
      ['dead-letters', 'redrive', '--reason', 'bogus'],
      'Expected one of storable, json, missing, type, empty',
    ],
    [['dead-letters', 'redrive', '--limit', '0'], 'Expected a whole number from 1'],
    [
      ['dead-letters', 'redrive', ...nowhere],
      'expected a terminal to ask on, got none; pass --yes, or --dry-run',
    ],
    [['dead-letters', 'export'], "missing required argument 'file'"],
    [['dead-letters', 'export', 'new', ...nowhere], 'cannot be reached (ECONNREFUSED)'],
  ])('%j is one clear line and exit code 2', async (args, message) => {
    const cli = createCli();

    const { exitCode, stdout, stderr } = await cli.run(args);

    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(stderr).toMatch(/^vizard: /);
    expect(stderr).toContain(message);
    expect(existsSync(join(cli.directory, 'new'))).toBe(false);
  });

  it('of a file that cannot be made is one clear line, and nothing is received', async () => {
    const queue = await createQueue();
    await queue.deadLetters?.send(['{}']);

    const { exitCode, stderr } = await createCli().run([
      'dead-letters',
      'export',
      '/nowhere/f',
      ...at(queue),
    ]);

    expect({ exitCode, stderr }).toEqual({
      exitCode: 2,
      stderr: 'vizard: /nowhere/f cannot be written (ENOENT)\n',
    });
    const [message] = (await queue.deadLetters?.receive(1, 1)) ?? [];
    expect(message?.Attributes?.ApproximateReceiveCount).toBe('1');
  });

  it.each([['list'], ['redrive'], ['export']])(
    'is helped: %s --help shows what there is',
    async (command) => {
      const { exitCode, stdout } = await createCli().run(['dead-letters', command, '--help']);

      expect(exitCode).toBe(0);
      expect(stdout).toMatch(new RegExp(`^Usage: vizard dead-letters ${command} `));
    },
  );
});
