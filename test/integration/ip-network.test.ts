import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SQSRecord } from 'aws-lambda';
import { beforeEach, describe, expect, it } from 'vitest';
import { columnNames } from '../../lambda/events/declaration.ts';
import { loginEvents, loginEventsWith } from '../../lambda/events/login-event.ts';
import { findDeclaration } from '../../lambda/postgres/schema/find-declaration.ts';
import { migrate } from '../../lambda/postgres/schema/schema.ts';
import { useCli } from '../support/cli.ts';
import { useDatabase } from '../support/database.ts';
import { type EntryPoint, type Line, runEntryPoint } from '../support/lambda-process.ts';
import { compact, partitions } from '../support/partitions.ts';
import { KEYSET_JSON, loginEvent, record } from '../support/records.ts';

const database = useDatabase({ empty: true });
const createCli = useCli();

const NAME = 'masked_ip_network';
const withNetwork = loginEventsWith({ ipNetwork: true });
const login = (ip: string): SQSRecord => record(loginEvent({ ip }));

/** One event for an entry point. @returns its answer */
async function run(entryPoint: EntryPoint, env: Record<string, string>, event: unknown = {}): Promise<Line> {
  const all = { DATABASE_URL: database.url, MASKING_KEYSET: KEYSET_JSON, POWERTOOLS_SERVICE_NAME: 'Vizard' };
  const { lines, output } = await runEntryPoint(entryPoint, { ...all, ...env }, [event]);
  const answer = lines.find((line) => 'response' in line || 'errorMessage' in line);
  return answer ?? { errorMessage: output };
}

async function ingest(env: Record<string, string>, ips: readonly string[]): Promise<void> {
  const { response } = await run('handler', env, { Records: ips.map(login) });
  expect(response).toEqual({ batchItemFailures: [] });
}

async function columns(): Promise<string[]> {
  const rows = await database.rows<{ name: string }>(
    `SELECT attname AS name FROM pg_attribute WHERE attrelid = 'user_logins'::regclass AND attnum > 0 ORDER BY attnum`,
  );
  return rows.map(({ name }) => name);
}

/** How many rows each network has, the NULLs last. */
async function networks(): Promise<number[]> {
  const rows = await database.rows<{ logins: number }>(
    `SELECT count(*)::int AS logins FROM user_logins GROUP BY ${NAME} ORDER BY ${NAME} IS NULL, 1 DESC`,
  );
  return rows.map(({ logins }) => logins);
}

async function kinds(): Promise<string[]> {
  const rows = await database.rows<{ kind: string }>(
    'SELECT DISTINCT kind FROM user_login_repeats ORDER BY 1',
  );
  return rows.map(({ kind }) => kind);
}

beforeEach(async () => {
  await database.client.query('DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public');
});

describe('the masked network of an address', () => {
  it('is not there by default', async () => {
    await run('migrate', {});
    await ingest({}, ['203.0.113.7', '203.0.113.8']);

    expect(await columns()).toEqual(columnNames(loginEvents));
    expect(await kinds()).toEqual(['device_id']);
  });

  it('is a column of a new table where it is on, and of the view of repeats', async () => {
    const on = { IP_NETWORK: 'on' };
    await run('migrate', on);
    await ingest(on, ['203.0.113.7', '203.0.113.8', '203.0.112.7', '2001:db8:1::1', '2001:db8:1:9::']);

    expect(await columns()).toEqual(columnNames(withNetwork));
    expect(await networks()).toEqual([2, 2, 1]);
    expect(await kinds()).toEqual(['device_id', 'ip_network']);
    expect(
      await database.rows(`SELECT FROM user_logins a JOIN user_logins b ON a.${NAME} = b.masked_ip`),
    ).toEqual([]);
  });

  it('is added to a table that is there; rows of before have none', async () => {
    await run('migrate', {});
    await ingest({}, ['203.0.113.7']);

    expect((await run('migrate', { IP_NETWORK: 'on' })).response).toBeDefined();
    await ingest({ IP_NETWORK: 'on' }, ['203.0.113.7', '203.0.113.8']);

    expect(await columns()).toEqual([...columnNames(loginEvents), NAME]);
    expect(await networks()).toEqual([2, 1]);
  });

  it('keeps column and repeats when it is switched off again, and is NULL in new rows', async () => {
    await run('migrate', { IP_NETWORK: 'on' });
    await ingest({ IP_NETWORK: 'on' }, ['203.0.113.7', '203.0.113.8']);
    const made = await columns();

    expect((await run('migrate', { IP_NETWORK: 'off' })).response).toBeDefined();
    await ingest({ IP_NETWORK: 'off' }, ['203.0.113.7']);

    expect(await columns()).toEqual(made);
    expect(await networks()).toEqual([2, 1]);
    expect(await kinds()).toContain('ip_network');
  });

  it('has a view of repeats that is made only once', async () => {
    const rewritten = () =>
      database.rows(
        `SELECT xmin::text FROM pg_rewrite WHERE ev_class = 'user_login_repeats'::regclass ORDER BY 1`,
      );
    await migrate(database.client, withNetwork);
    const before = await rewritten();

    await migrate(database.client, loginEvents);
    await migrate(database.client, withNetwork);

    expect(await rewritten()).toEqual(before);
  });

  it('is in every partition, those of before and those that come', async () => {
    await run('migrate', { RETENTION_DAYS: '3' });
    await run('migrate', { RETENTION_DAYS: '3', IP_NETWORK: 'on' });
    const day = Math.floor(Date.now() / 86_400_000);
    const events = [day, day - 2].map((sent) =>
      record(loginEvent({ ip: '203.0.113.7' }), { sentTimestamp: String(sent * 86_400_000) }),
    );
    const { response } = await run('handler', { IP_NETWORK: 'on' }, { Records: events });
    expect(response).toEqual({ batchItemFailures: [] });

    // Moves the older event from the default partition into one of its day.
    expect(await run('retention', { RETENTION_DAYS: '3' })).toHaveProperty('response');

    expect(await partitions(database)).toContain(compact(day - 2));
    expect(await networks()).toEqual([2]);
  });

  it.each(['handler', 'probe', 'migrate'] as const)(
    'is on or off for the entry point %s, and nothing else',
    async (name) => {
      const answer = await run(name, { IP_NETWORK: 'CANARY' }, { RequestType: 'Create' });

      expect(answer.errorMessage).toContain('IP_NETWORK: expected on or off, got 6 other characters');
      expect(answer.errorMessage).not.toContain('CANARY');
    },
  );

  it('is tried by the probe', async () => {
    await run('migrate', {});
    expect((await run('probe', { IP_NETWORK: 'on' })).errorMessage).toContain('(42703)');

    await run('migrate', { IP_NETWORK: 'on' });
    expect(await run('probe', { IP_NETWORK: 'on' })).toHaveProperty('response');
  });
});

describe('the declaration of a table', () => {
  it('is that of the columns which it has', async () => {
    expect(await findDeclaration(database.client)).toEqual(loginEvents);

    await migrate(database.client, loginEvents);
    expect(await findDeclaration(database.client)).toEqual(loginEvents);

    await migrate(database.client, withNetwork);
    expect(await findDeclaration(database.client)).toEqual(withNetwork);
    expect(await findDeclaration(database.client, withNetwork)).toEqual(withNetwork);

    await database.client.query(`ALTER TABLE user_logins DROP COLUMN ${NAME} CASCADE`);
    expect(await findDeclaration(database.client)).toEqual(loginEvents);
  });
});

describe('vizard run --ip-network', () => {
  it('masks the network as well; without the option the column stays, and show has it', async () => {
    const cli = createCli();
    const input = join(cli.directory, 'input.jsonl');
    const lines = ['203.0.113.7', '203.0.113.8'].map((ip) => JSON.stringify(loginEvent({ ip })));
    writeFileSync(input, lines.join('\n'));
    const options = ['--json', '--database-url', database.url];

    const first = await cli.run(['run', '--input', input, '--ip-network', ...options]);
    const second = await cli.run(['run', '--input', input, ...options]);
    const shown = await cli.run(['show', ...options]);
    const read = await cli.run(['show', '--database-url', database.url]);

    expect([first, second].map(({ exitCode, json }) => [exitCode, json()])).toMatchObject([
      [0, { stored: 2 }],
      [0, { stored: 2 }],
    ]);
    const { rows } = shown.json() as { rows: Record<string, string | null>[] };
    expect(rows.map((row) => row[NAME]?.slice(0, 6) ?? null).toSorted()).toEqual([
      null,
      null,
      's1~k1~',
      's1~k1~',
    ]);
    expect(read.stdout).toMatch(/│ ip_network +│ s1~k1~\S{3}…\S{4} +│ 2 /);
    expect(read.stdout).toMatch(/ masked_ip_network /);
  });
});
