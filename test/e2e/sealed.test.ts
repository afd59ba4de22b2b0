import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { bootstrap, deploy, destroy, type Outputs } from '../../bin/local/cdk.ts';
import { type EmbeddedPostgres, startPostgres } from '../../bin/local/postgres.ts';
import { openQueue } from '../../bin/queue/queue.ts';
import { useCli } from '../support/cli.ts';
import { loginEvent } from '../support/records.ts';
import { startEmulator, type TestEmulator } from './emulator.ts';

const createCli = useCli();

/** Ten addresses of four networks, each in three events. */
const ADDRESSES = Array.from({ length: 10 }, (_, i) => `203.0.${i % 4}.${i}`);
const EVENTS = Array.from({ length: 30 }, (_, i) =>
  loginEvent({
    user_id: `user-${String(i).padStart(2, '0')}`,
    ip: ADDRESSES[i % 10]!,
    device_id: 'the same',
  }),
);

let emulator: TestEmulator;
let postgres: EmbeddedPostgres;
let database: Client;
let outputs: Outputs & { readonly RecoveryKeyArn: string };
const context = () => ({
  database: 'url',
  databaseUrl: postgres.url,
  batchingWindowSeconds: '1',
  recovery: 'sealed',
  ipNetwork: 'on',
});

beforeAll(async () => {
  emulator = await startEmulator({ own: true });
  postgres = await startPostgres({ durable: false });
  database = new Client({ connectionString: postgres.url });
  await database.connect();
  await bootstrap(emulator);
  outputs = (await deploy(emulator, context())) as typeof outputs;
});

afterAll(async () => {
  await database?.end();
  await postgres?.stop();
  await emulator?.stop();
});

async function rows<T>(sql: string): Promise<T[]> {
  return (await database.query(sql)).rows as T[];
}

/** `vizard recover` as somebody who has the stack's policy for it. @param key options that name the recovery key */
function recover(query: string, column: string, key = ['--recovery-kms-key', outputs.RecoveryKeyArn]) {
  const args = ['--query', query, '--column', column, '--reason', 'ticket 4711'];
  return createCli().run(['recover', ...args, '--keyset-secret', outputs.KeysetSecretArn, ...key], {
    env: {
      DATABASE_URL: postgres.url,
      AWS_ENDPOINT_URL: emulator.endpointUrl,
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
    },
  });
}

describe('a sealed deployment', () => {
  it('stores irreversible tokens, and seals each value once', async () => {
    const queue = openQueue({ queueUrl: outputs.QueueUrl, endpointUrl: emulator.endpointUrl });
    await queue.send(EVENTS.map((event) => JSON.stringify(event)));
    queue.close();

    const stored = () => rows<{ count: number }>('SELECT count(*)::int FROM user_logins');
    await vi.waitFor(async () => expect(await stored()).toEqual([{ count: EVENTS.length }]), {
      timeout: 120_000,
      interval: 500,
    });

    const others = `SELECT 1 FROM user_logins WHERE NOT (starts_with(masked_ip, 'h1~k1~')
      AND starts_with(masked_device_id, 'h1~k1~') AND starts_with(masked_ip_network, 'h1~k1~'))`;
    expect(await rows(others)).toEqual([]);
    const kinds =
      await rows(`SELECT count(DISTINCT masked_ip)::int AS ips, count(DISTINCT masked_ip_network)::int AS networks,
      count(DISTINCT masked_device_id)::int AS devices FROM user_logins`);
    expect(kinds).toEqual([{ ips: 10, networks: 4, devices: 1 }]);
    expect(await rows('SELECT count(*)::int FROM user_logins_vault')).toEqual([{ count: 10 + 4 + 1 }]);
  });

  it('gives values back to whoever may use the recovery key, which stays in KMS', async () => {
    const query = 'SELECT masked_ip FROM user_logins ORDER BY user_id';

    const { exitCode, stdout, stderr } = await recover(query, 'masked_ip');

    expect(exitCode, stderr).toBe(0);
    expect(stdout.split('\n').map((line) => line.split('\t')[1])).toEqual([
      ...EVENTS.map(({ ip }) => ip),
      undefined,
    ]);
    expect(await rows('SELECT action, count::int FROM pii_audit')).toEqual([
      { action: 'recover', count: 30 },
    ]);
  });

  it('gives networks back as networks', async () => {
    const { exitCode, stdout } = await recover(
      'SELECT DISTINCT masked_ip_network AS network FROM user_logins',
      'network',
    );

    expect(exitCode).toBe(0);
    expect(
      stdout
        .trim()
        .split('\n')
        .map((line) => line.split('\t')[1])
        .sort(),
    ).toEqual([0, 1, 2, 3].map((third) => `203.0.${third}.0/24`));
  });

  it('gives nothing back to whoever has database and keyset only', async () => {
    const { exitCode, stdout } = await recover('SELECT DISTINCT masked_ip FROM user_logins', 'masked_ip', []);

    expect(exitCode).toBe(1);
    expect(stdout).toBe('');
  });

  it('gives them back after it was destroyed, because keyset and recovery key stay', async () => {
    await destroy(emulator, context());

    const { exitCode, stdout } = await recover(
      'SELECT DISTINCT masked_device_id FROM user_logins',
      'masked_device_id',
    );

    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/\tthe same\n$/);
  });
});
