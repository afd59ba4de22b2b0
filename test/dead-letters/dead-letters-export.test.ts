import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { useCli } from '../support/cli.ts';
import { at, bodies, body, KINDS } from '../support/dead-letters.ts';
import { useQueues } from '../support/queue.ts';
import { useQueueProxies } from '../support/queue-proxy.ts';

const createCli = useCli();
const createQueue = useQueues();
const createProxy = useQueueProxies();

describe('vizard dead-letters export', () => {
  it('writes one diagnosis a line into a new file that only its owner reads', async () => {
    const queue = await createQueue();
    await queue.deadLetters?.send(KINDS.map(([text]) => text));
    const cli = createCli();
    const file = join(cli.directory, 'diagnoses.jsonl');

    const { exitCode, json } = await cli.run(['dead-letters', 'export', file, '--json', ...at(queue)]);
    const again = await cli.run(['dead-letters', 'export', file, ...at(queue)]);

    expect({ exitCode, json: json() }).toEqual({
      exitCode: 0,
      json: { exported: 9, unseen: 0, elsewhere: 0 },
    });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
    const reasons = lines.map(
      (line) => (JSON.parse(line) as { reason: { field: string; code: string } }).reason,
    );
    expect(reasons.map(({ field, code }) => `${field}: ${code}`).toSorted()).toEqual(
      KINDS.map(([, reason]) => reason).toSorted(),
    );
    expect(again).toMatchObject({ exitCode: 2, stdout: '' });
    expect(again.stderr).toBe(`vizard: ${file} exists already; name a new file\n`);
    expect(await queue.deadLetters?.state()).toMatchObject({ visible: 9, inFlight: 0 });
  });

  it('leaves nothing of what failed or was killed in the way of the next', async () => {
    const queue = await createQueue();
    await queue.deadLetters?.send(bodies(300));
    let receives = 0;
    const endpointUrl = await createProxy(queue.endpointUrl, (action) =>
      action === 'ReceiveMessage' && ++receives > 20 ? { error: 'AccessDenied' } : undefined,
    );
    const cli = createCli();
    const file = join(cli.directory, 'diagnoses.jsonl');
    const failed = await cli.run(['dead-letters', 'export', file, ...at({ ...queue, endpointUrl })]);
    const afterFailure = readdirSync(cli.directory);
    writeFileSync(`${file}.part`, 'of one that was killed');

    const { exitCode } = await cli.run(['dead-letters', 'export', file, ...at(queue)]);

    expect(failed).toMatchObject({ exitCode: 2, stdout: '' });
    expect(afterFailure).toEqual([]);
    expect(exitCode).toBe(0);
    expect(readFileSync(file, 'utf8').trimEnd().split('\n')).toHaveLength(300);
    expect(readdirSync(cli.directory)).toEqual(['diagnoses.jsonl']);
  });

  it('keeps the file where only giving back has failed', async () => {
    const queue = await createQueue();
    await queue.deadLetters?.send(bodies(5));
    const endpointUrl = await createProxy(queue.endpointUrl, (action) =>
      action === 'ChangeMessageVisibilityBatch' ? { error: 'AccessDenied' } : undefined,
    );
    const cli = createCli();
    const file = join(cli.directory, 'f');
    const address = at({ ...queue, endpointUrl });

    const { exitCode, json } = await cli.run(['dead-letters', 'export', file, '--json', ...address]);

    expect(exitCode).toBe(2);
    expect(json()).toMatchObject({ exported: 5, failed: 'AccessDenied' });
    expect(readFileSync(file, 'utf8').trimEnd().split('\n')).toHaveLength(5);
  });

  it('says beside standard output what it has not seen', async () => {
    const queue = await createQueue();
    await queue.deadLetters?.send(bodies(50));
    let receives = 0;
    const endpointUrl = await createProxy(queue.endpointUrl, (action) =>
      action === 'ReceiveMessage' && ++receives > 3 ? { error: 'OverLimit' } : undefined,
    );

    const address = at({ ...queue, endpointUrl });
    const { stdout, stderr } = await createCli().run(['dead-letters', 'export', '-', ...address]);

    expect(stdout.trimEnd().split('\n')).toHaveLength(30);
    expect(stderr).toContain('about 20 more were not looked at\n');
  });

  it('writes to standard output, and nothing else there', async () => {
    const queue = await createQueue();
    await queue.deadLetters?.send([
      { body: body({ device_id: 7 }), attributes: { EventId: { DataType: 'String', StringValue: 'e' } } },
    ]);

    const { json } = await createCli().run(['dead-letters', 'export', '-', ...at(queue)]);

    expect(json()).toMatchObject({
      messageId: expect.stringMatching(/^[0-9a-f-]{36}$/),
      sentAt: expect.stringMatching(/^\d{4}-/),
      receives: 1,
      reason: { field: 'device_id', code: 'type' },
      attributes: { EventId: 'String', EventTime: null, others: 0 },
      body: {
        json: 'object',
        fields: { device_id: { type: 'number' }, ip: { characters: { digits: 8, dots: 3 } } },
      },
    });
  });
});

describe('no value of a dead letter is written anywhere', () => {
  /** In bodies, in names of members, in names and data types of attributes. */
  const CANARIES = ['203.0.113.77', '2001:db8:ca:7a7e::1', 'CANARY-DEVICE', 'CANARY-BODY', '4711471147'];
  const personal = (changes: Record<string, unknown> = {}) =>
    body({ ip: '203.0.113.77', device_id: 'CANARY-DEVICE', extra: 'CANARY-BODY', ...changes });
  const attribute = (DataType: string, StringValue: string) => ({ DataType, StringValue });

  it.each([
    ['list', ['list']],
    ['list --json', ['list', '--json']],
    ['export', ['export', '-']],
    ['redrive --dry-run', ['redrive', '--dry-run']],
    ['redrive', ['redrive', '--yes', '--reason', 'storable', '--reason', 'missing', '--reason', 'format']],
  ])('by %s', async (_name, args) => {
    const queue = await createQueue();
    const full = Array.from({ length: 9 }, (_, i) => [
      `203.0.113.77-${i}`,
      attribute('String', 'CANARY-BODY'),
    ]);
    await queue.deadLetters?.send([
      personal(),
      'CANARY-BODY {',
      '"203.0.113.77"',
      '4711471147',
      personal({
        '203.0.113.77': '2001:db8:ca:7a7e::1',
        '2001:db8:ca:7a7e::1': { 'CANARY-BODY': 4711471147 },
      }),
      personal({ ip: '203.0.113.77:443' }),
      personal({ user_id: undefined }),
      personal({ device_id: 4711471147 }),
      personal({ device_id: ['CANARY-DEVICE'] }),
      personal({ app_version: 'CANARY-BODY' }),
      { body: personal(), attributes: { '203.0.113.77': attribute('String.203.0.113.77', 'CANARY-BODY') } },
      { body: personal(), attributes: { EventId: attribute('Number.203.0.113.77', '4711471147') } },
      { body: personal(), attributes: { EventTime: attribute('String', 'CANARY-BODY') } },
      { body: personal(), attributes: Object.fromEntries(full) },
    ]);

    const { exitCode, stdout, stderr } = await createCli().run(['dead-letters', ...args, ...at(queue)]);

    expect(exitCode).toBe(args.includes('redrive') ? 1 : 0);
    expect(stdout).not.toBe('');
    expect(CANARIES.filter((canary) => `${stdout}${stderr}`.includes(canary))).toEqual([]);
  });
});
