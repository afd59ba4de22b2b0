import { afterEach, describe, expect, it, vi } from 'vitest';
import { toRecord } from '../../bin/queue/record.ts';
import { useCli } from '../support/cli.ts';
import { useDatabase } from '../support/database.ts';
import {
  at,
  bodies,
  body,
  drain,
  giveUp,
  receiveAll,
  redrive,
  sendUnreadable,
} from '../support/dead-letters.ts';
import { useFunctions } from '../support/function.ts';
import { useQueues } from '../support/queue.ts';

const database = useDatabase();
const createCli = useCli();
const createQueue = useQueues();
const createFunction = useFunctions();

afterEach(() => {
  vi.useRealTimers();
});

describe('vizard dead-letters redrive', () => {
  it('makes of what an outage took down exactly the rows that are missing', async () => {
    const queue = await createQueue();
    await queue.send(bodies(250));
    await giveUp(queue);

    const { exitCode, json } = await redrive(createCli(), queue, '--yes');
    const run = await drain(createCli(), queue, database.url);

    expect(exitCode).toBe(0);
    expect(json()).toEqual({
      dryRun: false,
      redriven: 250,
      inBoth: 0,
      left: 0,
      refused: [],
      unseen: 0,
      elsewhere: 0,
      reasons: [],
    });
    expect(run).toMatchObject({ received: 250, stored: 250 });
    expect(await database.count()).toBe(250);
    expect(await queue.deadLetters?.state()).toMatchObject({ visible: 0, inFlight: 0 });
  });

  it('makes no second row of what was stored after all', async () => {
    const queue = await createQueue({ maxReceiveCount: 1 });
    await queue.send(bodies(3));
    const received = await receiveAll(queue);
    const failed = await createFunction({ databaseUrl: database.url }).invoke(received.map(toRecord));
    // Stored, but never acknowledged.
    await queue.hide(received, 0);
    await giveUp(queue);

    const { json } = await redrive(createCli(), queue, '--yes');
    const run = await drain(createCli(), queue, database.url);

    expect(failed).toEqual([]);
    expect(json()).toMatchObject({ redriven: 3 });
    expect(run).toMatchObject({ received: 3, stored: 0, duplicates: 3 });
    expect(await database.count()).toBe(3);
  });

  it('stores the event under the identity and the date that it has had from the start', async () => {
    const queue = await createQueue();
    vi.useFakeTimers({ toFake: ['Date'], now: Date.UTC(2026, 1, 3, 23, 59) });
    await queue.send([body()]);
    vi.useRealTimers();
    const [message] = await giveUp(queue);

    await redrive(createCli(), queue, '--yes');
    await drain(createCli(), queue, database.url);

    const rows = await database.rows('SELECT event_id, create_date::text FROM user_logins');
    expect(rows).toEqual([{ event_id: message?.MessageId, create_date: '2026-02-03' }]);
  });

  it('keeps body and attributes as they are, and adds the identity only where there is none', async () => {
    const queue = await createQueue();
    const text = body({ user_id: '🚀 \u2028 "quoted"' });
    const own = {
      text: { DataType: 'String.label', StringValue: 'ä' },
      number: { DataType: 'Number', StringValue: '1.50' },
      bytes: { DataType: 'Binary.png', BinaryValue: new Uint8Array([0, 255, 128]) },
    };
    const identity = {
      EventId: { DataType: 'String', StringValue: 'order-17' },
      EventTime: { DataType: 'Number', StringValue: '1700000000000' },
    };
    await queue.deadLetters?.send([
      { body: text, attributes: own },
      { body: text, attributes: { ...own, ...identity } },
    ]);
    const [first] = (await queue.deadLetters?.receive(1, 1)) ?? [];
    await queue.deadLetters?.hide([first!], 0);

    await redrive(createCli(), queue, '--yes');

    const messages = await receiveAll(queue);
    const kept = messages.find(
      ({ MessageAttributes }) => MessageAttributes?.EventId?.StringValue === 'order-17',
    );
    const added = messages.find((message) => message !== kept);
    expect(messages.map(({ Body }) => Body)).toEqual([text, text]);
    expect(added?.MessageAttributes).toEqual({
      ...own,
      EventId: { DataType: 'String', StringValue: first?.MessageId },
      EventTime: { DataType: 'String', StringValue: first?.Attributes?.SentTimestamp },
    });
    expect(kept?.MessageAttributes).toEqual({ ...own, ...identity });
  });

  it('leaves what would only be rejected again, and says why', async () => {
    const queue = await createQueue();
    await queue.deadLetters?.send([body(), '{', '{', body({ ip: 'x' }), body()]);

    const { exitCode, json } = await redrive(createCli(), queue, '--yes');

    expect(exitCode).toBe(0);
    expect(json()).toMatchObject({
      redriven: 2,
      left: 3,
      reasons: [
        { field: 'body', code: 'json', count: 2 },
        { field: 'ip', code: 'format', count: 1 },
      ],
    });
    expect(await queue.deadLetters?.state()).toMatchObject({ visible: 3, inFlight: 0 });
  });

  it('sends those of other reasons where it is asked to', async () => {
    const queue = await createQueue();
    await queue.deadLetters?.send([body(), '{', body({ ip: 'x' }), '[]']);

    const { json } = await redrive(createCli(), queue, '--yes', '--reason', 'json', '--reason', 'format');

    expect(json()).toMatchObject({ redriven: 2, left: 2 });
    const sent = (await receiveAll(queue)).map(({ Body }) => Body!.slice(0, 2));
    expect(sent.toSorted()).toEqual(['{', '{"']);
  });

  it('sends no more than it was told to', async () => {
    const queue = await createQueue();
    await queue.deadLetters?.send([...bodies(150), ...Array.from({ length: 20 }, () => '{')]);

    const { json } = await redrive(createCli(), queue, '--yes', '--limit', '120');

    expect(json()).toMatchObject({ redriven: 120 });
    expect(await queue.state()).toMatchObject({ visible: 120 });
    expect(await queue.deadLetters?.state()).toMatchObject({ visible: 50, inFlight: 0 });
  });

  it('changes nothing in a dry run, and says what it would do', async () => {
    const queue = await createQueue();
    await queue.deadLetters?.send([body(), body(), '{']);

    const { exitCode, json } = await redrive(createCli(), queue, '--dry-run');

    expect(exitCode).toBe(0);
    expect(json()).toMatchObject({ dryRun: true, redriven: 2, left: 1 });
    expect(await queue.state()).toMatchObject({ visible: 0 });
    expect(await queue.deadLetters?.state()).toMatchObject({ visible: 3, inFlight: 0 });
  });

  it('changes nothing where nobody can be asked and nobody has said yes', async () => {
    const queue = await createQueue();
    await queue.deadLetters?.send([body()]);

    const { exitCode, stdout, stderr } = await redrive(createCli(), queue);

    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toContain('pass --yes');
    const [message] = (await queue.deadLetters?.receive(1, 1)) ?? [];
    expect(message?.Attributes?.ApproximateReceiveCount).toBe('1');
  });

  it('leaves what the queue would not take, and says so', async () => {
    const queue = await createQueue();
    const attributes = Object.fromEntries(
      Array.from({ length: 10 }, (_, i) => [`a${i}`, { DataType: 'String', StringValue: 'x' }]),
    );
    const full = { body: body(), attributes };
    const long = body({ padding: 'x'.repeat(1024 * 1024 - Buffer.byteLength(body({ padding: '' }))) });
    await queue.deadLetters?.send([full, long, body()]);
    const messages = await receiveAll(queue.deadLetters!);
    await queue.deadLetters?.hide(messages, 0);

    const dry = await redrive(createCli(), queue, '--dry-run');
    const { exitCode, json } = await redrive(createCli(), queue, '--yes');

    const idOf = (text: string) => messages.find(({ Body }) => Body === text)?.MessageId;
    const { refused } = json() as { refused: { messageId: string; code: string }[] };
    expect(exitCode).toBe(1);
    expect(json()).toMatchObject({ redriven: 1, left: 0 });
    expect(dry.json()).toMatchObject({ redriven: 1, left: 0 });
    expect(new Set(refused)).toEqual(
      new Set([
        { messageId: idOf(full.body), code: 'too_many_attributes' },
        { messageId: idOf(long), code: 'too_long' },
      ]),
    );
    expect(await queue.deadLetters?.state()).toMatchObject({ visible: 2, inFlight: 0 });
  });

  it('leaves what has an attribute that cannot be read, and goes on with the others', async () => {
    const queue = await createQueue();
    await queue.deadLetters?.send([body(), body()]);
    await sendUnreadable({ ...queue, queueUrl: `${queue.queueUrl}-dlq` });

    const dry = await redrive(createCli(), queue, '--dry-run');
    const { exitCode, json } = await redrive(createCli(), queue, '--yes');

    const refused = [{ messageId: expect.any(String), code: 'unreadable_attribute' }];
    expect(dry.json()).toMatchObject({ redriven: 2, left: 0, refused });
    expect(json()).toMatchObject({ redriven: 2, left: 0, refused });
    expect(exitCode).toBe(1);
    expect(await queue.state()).toMatchObject({ visible: 2 });
    expect(await queue.deadLetters?.state()).toMatchObject({ visible: 1, inFlight: 0 });
  });

  it('names twenty of those that it leaves, and counts the others', async () => {
    const queue = await createQueue();
    const attributes = Object.fromEntries(
      Array.from({ length: 10 }, (_, i) => [`a${i}`, { DataType: 'String', StringValue: 'x' }]),
    );
    await queue.deadLetters?.send(Array.from({ length: 23 }, () => ({ body: body(), attributes })));

    const { stdout } = await createCli().run(['dead-letters', 'redrive', '--yes', ...at(queue)]);

    expect(stdout.match(/cannot be sent back: too_many_attributes/g)).toHaveLength(20);
    expect(stdout).toContain('\n  and 3 more\n');
  });

  it('shows how many it has sent of how many it will send', async () => {
    const queue = await createQueue();
    await queue.deadLetters?.send([...Array.from({ length: 30 }, () => '{'), ...bodies(20)]);

    const { stderr } = await redrive(createCli(), queue, '--yes', '--limit', '20');

    expect(stderr.match(/^redriving .*$/gm)?.at(-1)).toBe('redriving 20/20');
  });

  it('does not send round and round what fails again at once', async () => {
    const queue = await createQueue({ maxReceiveCount: 1 });
    await queue.deadLetters?.send(bodies(30));
    const failing = { stopped: false };
    const consumer = (async () => {
      while (!failing.stopped) await queue.hide(await queue.receive(10, 0), 0);
    })();

    const { json } = await redrive(createCli(), queue, '--yes');
    failing.stopped = true;
    await consumer;
    await giveUp(queue);

    expect(json()).toMatchObject({ redriven: 30 });
    expect(await queue.deadLetters?.state()).toMatchObject({ visible: 30, inFlight: 0 });
  });
});
