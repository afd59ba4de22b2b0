import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { ListQueuesCommand, type Message, SetQueueAttributesCommand, SQSClient } from '@aws-sdk/client-sqs';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { bootstrap, contextOptions, deploy, destroy, type Outputs, runCdk } from '../../bin/local/cdk.ts';
import { type EmbeddedPostgres, startPostgres } from '../../bin/local/postgres.ts';
import { openQueue, type Queue } from '../../bin/queue/queue.ts';
import { type Column, isMasked, type MaskedColumn } from '../../lambda/events/declaration.ts';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { parseKeyset } from '../../lambda/masking/keyset.ts';
import { unmask } from '../../lambda/masking/masker.ts';
import { type Proxy as DatabaseProxy, startProxy } from '../support/proxy.ts';
import { loginEvent } from '../support/records.ts';
import { deployedBreaker } from './deployed-breaker.ts';
import { countResources } from './emulated-aws.ts';
import { startEmulator, type TestEmulator } from './emulator.ts';

const GOOD = 450;
/** Every kind of bad message that a person might send; 50 of them in turn. */
const BAD_KINDS: readonly (() => unknown)[] = [
  () => 'no JSON at all',
  () => ['an', 'array'],
  () => loginEvent({ ip: '203.0.113.256' }),
  () => loginEvent({ device_id: '' }),
  () => loginEvent({ user_id: undefined }),
  () => loginEvent({ app_version: 'two' }),
  () => ({ foo: 'bar' }),
];
const bodyOf = (body: unknown) => (typeof body === 'string' ? body : JSON.stringify(body));
const GOOD_EVENTS = Array.from({ length: GOOD }, (_, i) =>
  loginEvent({ user_id: `user-${i}`, ip: `10.0.${i >> 8}.${i & 255}`, device_id: `device-${i % 300}` }),
);
const BAD_BODIES = Array.from({ length: 500 - GOOD }, (_, i) => bodyOf(BAD_KINDS[i % BAD_KINDS.length]!()));

let emulator: TestEmulator;
let postgres: EmbeddedPostgres;
let proxy: DatabaseProxy;
let database: Client;
let outputs: Outputs;
let sqs: SQSClient;
let secrets: SecretsManagerClient;
let lambda: LambdaClient;
const context = () => ({
  database: 'url',
  databaseUrl: proxy.url,
  batchingWindowSeconds: '1',
  retentionDays: '30',
});

/** One deployment, which the tests look at in their order: deployed, used, deployed again, destroyed. */
beforeAll(async () => {
  emulator = await startEmulator();
  postgres = await startPostgres({ durable: false });
  // The functions' way to the database, to be blocked.
  proxy = await startProxy(postgres.url);
  database = new Client({ connectionString: postgres.url });
  await database.connect();
  const config = {
    endpoint: emulator.endpointUrl,
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  };
  sqs = new SQSClient(config);
  secrets = new SecretsManagerClient(config);
  lambda = new LambdaClient(config);
  await bootstrap(emulator);
  outputs = await deploy(emulator, context());
});

afterAll(async () => {
  sqs?.destroy();
  secrets?.destroy();
  lambda?.destroy();
  await database?.end();
  proxy?.close();
  await postgres?.stop();
  await emulator?.stop();
});

async function rows<T>(sql: string): Promise<T[]> {
  return (await database.query(sql)).rows as T[];
}

/** @param seconds the queue's visibility timeout from now on */
async function hideFor(seconds: number): Promise<void> {
  const Attributes = { VisibilityTimeout: String(seconds) };
  await sqs.send(new SetQueueAttributesCommand({ QueueUrl: outputs.QueueUrl, Attributes }));
}

function queue(queueUrl: string): Queue {
  return openQueue({ queueUrl, endpointUrl: emulator.endpointUrl });
}

describe('a deployment', () => {
  it('has migrated the schema', async () => {
    const [found] = await rows<{ table: string; index: string; view: string }>(
      `SELECT to_regclass('user_logins')::text AS table, to_regclass('user_logins_event_key')::text AS index,
              to_regclass('user_login_repeats')::text AS view`,
    );

    expect(found).toEqual({
      table: 'user_logins',
      index: 'user_logins_event_key',
      view: 'user_login_repeats',
    });
  });

  it('stores exactly the good events and dead-letters exactly the bad ones', async () => {
    // Five receives of a bad message would take half an hour; how long one is hidden is not what is tested.
    await hideFor(1);
    const [source, deadLetters] = [queue(outputs.QueueUrl), queue(outputs.DeadLetterQueueUrl)];
    const bodies = [...GOOD_EVENTS.map(bodyOf), ...BAD_BODIES].sort(() => Math.random() - 0.5);
    const sent = await source.send(bodies);
    expect(sent.filter((result) => 'refused' in result)).toEqual([]);

    await vi.waitFor(
      async () => {
        const [left, dead] = await Promise.all([source.state(), deadLetters.state()]);
        expect([left.visible, left.inFlight, dead.visible]).toEqual([0, 0, BAD_BODIES.length]);
      },
      { timeout: 240_000, interval: 500 },
    );

    const [{ count }] = (await rows<{ count: number }>('SELECT count(*)::int FROM user_logins')) as [
      { count: number },
    ];
    expect(count).toBe(GOOD);
    expect((await receiveAll(deadLetters)).map(({ Body }) => Body).sort()).toEqual(BAD_BODIES.toSorted());
    source.close();
    deadLetters.close();
  });

  it('has tokens that the keyset of the deployed secret recovers', async () => {
    const { SecretString } = await secrets.send(
      new GetSecretValueCommand({ SecretId: outputs.KeysetSecretArn }),
    );
    const keyset = parseKeyset(SecretString!, 'secret');
    const stored = await rows<{ user_id: string; masked_ip: string; masked_device_id: string }>(
      'SELECT user_id, masked_ip, masked_device_id FROM user_logins',
    );
    const clear = (name: string, tokens: string[]) =>
      unmask(keyset, maskedColumn(name), tokens).map((bytes) => Buffer.from(bytes!));

    const ips = clear(
      'masked_ip',
      stored.map((row) => row.masked_ip),
    ).map((bytes) => bytes.subarray(12).join('.'));
    const devices = clear(
      'masked_device_id',
      stored.map((row) => row.masked_device_id),
    ).map(String);

    const recovered = stored.map(({ user_id }, i) => ({ user_id, ip: ips[i], device_id: devices[i] }));
    const expected = GOOD_EVENTS.map(({ user_id, ip, device_id }) => ({ user_id, ip, device_id }));
    const byUser = (a: { user_id?: unknown }, b: { user_id?: unknown }) =>
      String(a.user_id) < String(b.user_id) ? -1 : 1;
    expect(recovered.sort(byUser)).toEqual(expected.sort(byUser));
  });

  it('stops receiving while the database is away, and starts again when a probe can write', async () => {
    const breaker = await deployedBreaker(emulator.endpointUrl, outputs);
    const [source, deadLetters] = [queue(outputs.QueueUrl), queue(outputs.DeadLetterQueueUrl)];
    const deadBefore = (await deadLetters.state()).visible;
    const users = Array.from({ length: 30 }, (_, i) => `during the outage ${i}`);
    const send = (some: readonly string[]) =>
      source.send(some.map((user_id) => bodyOf(loginEvent({ user_id }))));
    await hideFor(20);
    await breaker.tick();
    expect(await breaker.mappingState()).toBe('Enabled');

    proxy.behave('refuse');
    proxy.cut();
    await send(users.slice(0, 10));
    const blocked = async () => (await breaker.reportedShares()).filter((share) => share === 1);
    await vi.waitFor(async () => expect(await blocked()).not.toEqual([]), { timeout: 60_000, interval: 500 });
    const [share = 0] = await blocked();
    await breaker.publish([share, share]);
    await breaker.tick();

    expect(await breaker.mappingState()).toBe('Disabled');
    await send(users.slice(10));
    await breaker.tick();
    expect(await breaker.mappingState()).toBe('Disabled');
    // Nobody takes them: those of before the breaker opened come back, and all stay.
    await vi.waitFor(
      async () => expect(await source.state()).toMatchObject({ visible: users.length, inFlight: 0 }),
      { timeout: 60_000, interval: 500 },
    );

    proxy.behave('pass');
    await breaker.tick();
    expect(await breaker.mappingState()).toBe('Enabled');
    // It looks whether AWS has done what it asked for.
    await breaker.tick();

    const stored = `SELECT user_id FROM user_logins WHERE user_id LIKE 'during the outage %'`;
    await vi.waitFor(
      async () =>
        expect((await rows<{ user_id: string }>(stored)).map(({ user_id }) => user_id).sort()).toEqual(
          users.toSorted(),
        ),
      { timeout: 60_000, interval: 500 },
    );
    expect((await deadLetters.state()).visible).toBe(deadBefore);
    // The rule of the stack makes it tick as well, and two may tell the same at once.
    expect([...new Set(await breaker.told())]).toEqual([
      'Vizard: circuit breaker opened',
      'Vizard: circuit breaker closed',
    ]);
    for (const { close } of [breaker, source, deadLetters]) await close();
  });

  it('keeps a partition for today and each of the next seven days, and drops what is too old', async () => {
    const partitions = `SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'user_logins'::regclass ORDER BY 1`;
    const before = await rows(partitions);
    expect(before).toHaveLength(1 + 7 + 1);
    const old = `FOR VALUES FROM ('2000-01-01') TO ('2000-01-02')`;
    await database.query(`CREATE TABLE user_logins_20000101 PARTITION OF user_logins ${old}`);

    const FunctionName = outputs.RetentionFunctionName;
    const { FunctionError } = await lambda.send(new InvokeCommand({ FunctionName }));

    expect(FunctionError).toBeUndefined();
    expect(await rows(partitions)).toEqual(before);
  });

  it('changes nothing when it is repeated', async () => {
    const difference = await runCdk(emulator, ['diff', '--fail', ...contextOptions(context())]);
    const again = await runCdk(emulator, ['deploy', ...contextOptions(context())]);

    expect(difference.exitCode, difference.output).toBe(0);
    expect(again.exitCode).toBe(0);
    expect(again.output).toContain('(no changes)');
  });

  it('fails with the reason when the migration does, and leaves what was there at work', async () => {
    await database.query('CREATE DATABASE other');
    const url = Object.assign(new URL(postgres.url), { pathname: 'other' }).href;
    const other = new Client({ connectionString: url });
    await other.connect();
    await other.query('CREATE TABLE user_logins (user_id varchar(128), tenant text NOT NULL)');
    await other.end();

    const { exitCode, output } = await runCdk(emulator, [
      'deploy',
      '--require-approval=never',
      ...contextOptions({ ...context(), databaseUrl: url }),
    ]);

    expect(exitCode).not.toBe(0);
    expect(output).toContain('tenant');
    const source = queue(outputs.QueueUrl);
    await source.send([bodyOf(loginEvent({ user_id: 'after the failure' }))]);
    await vi.waitFor(
      async () =>
        expect(await rows(`SELECT 1 FROM user_logins WHERE user_id = 'after the failure'`)).toHaveLength(1),
      { timeout: 60_000, interval: 500 },
    );
    source.close();
  });

  it('leaves queues, keyset and key when it is destroyed, and nothing else', async () => {
    expect(await countResources(emulator.endpointUrl)).toEqual({
      keys: 1,
      functions: 6,
      mappings: 1,
      logGroups: 6,
      topics: 1,
      alarms: 10,
      rules: 2,
    });

    await destroy(emulator, context());

    const { QueueUrls = [] } = await sqs.send(new ListQueuesCommand({}));
    expect(QueueUrls.toSorted()).toEqual([outputs.QueueUrl, outputs.DeadLetterQueueUrl].toSorted());
    const secret = await secrets.send(new GetSecretValueCommand({ SecretId: outputs.KeysetSecretArn }));
    expect(Object.keys(JSON.parse(secret.SecretString!) as object)).toEqual(['primary', 'k1']);
    expect(await countResources(emulator.endpointUrl)).toEqual({
      keys: 1,
      functions: 0,
      mappings: 0,
      logGroups: 0,
      topics: 0,
      alarms: 0,
      rules: 0,
    });
  });
});

function maskedColumn(name: string): MaskedColumn {
  const columns: readonly Column[] = loginEvents.columns;
  return columns.filter(isMasked).find(({ column }) => column === name)!;
}

async function receiveAll(from: Queue): Promise<Message[]> {
  const messages: Message[] = [];
  for (;;) {
    const received = await from.receive(10, 0);
    if (received.length === 0) return messages;
    messages.push(...received);
  }
}
