import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CreateQueueCommand, SetQueueAttributesCommand, SQSClient } from '@aws-sdk/client-sqs';
import { describe, expect, it } from 'vitest';
import { clientConfig } from '../../bin/queue/client.ts';
import { useCli } from '../support/cli.ts';
import { at, body } from '../support/dead-letters.ts';
import { useQueues } from '../support/queue.ts';

const createCli = useCli();
const createQueue = useQueues();

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

  it('is not touched where its dead-letter queue would move on what is looked at', async () => {
    const queue = await createQueue();
    await queue.deadLetters?.send([body()]);
    const client = new SQSClient(clientConfig(queue.endpointUrl));
    await client.send(new CreateQueueCommand({ QueueName: 'graveyard' }));
    const deadLetterTargetArn = 'arn:aws:sqs:us-east-1:000000000000:graveyard';
    const RedrivePolicy = JSON.stringify({ deadLetterTargetArn, maxReceiveCount: 1 });
    const QueueUrl = `${queue.queueUrl}-dlq`;
    await client.send(new SetQueueAttributesCommand({ QueueUrl, Attributes: { RedrivePolicy } }));
    client.destroy();

    const { exitCode, stdout, stderr } = await createCli().run(['dead-letters', 'list', ...at(queue)]);

    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toBe(
      `vizard: the dead-letter queue ${QueueUrl} has a redrive policy of its own: expected none, got graveyard, to which looking would move its messages; take the policy away, or name login-queue-dlq with --queue-url to look into graveyard\n`,
    );
    expect(await queue.deadLetters?.receive(1, 1)).toHaveLength(1);
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
    [['dead-letters', 'bogus'], 'unknown command'],
    [['dead-letters', 'list', 'file'], 'too many arguments'],
    [['dead-letters', 'list'], 'no running instance found'],
    [['dead-letters', 'list', '--data-dir', '/nowhere'], 'no queue is kept in /nowhere'],
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
    [
      ['dead-letters', 'export', '', ...nowhere],
      'FILE is empty: expected a new file, or - for standard output',
    ],
    [
      ['dead-letters', 'list', '--queue-url', 'http://127.0.0.1:1/0/q.fifo'],
      'is a FIFO queue: expected a standard queue',
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
