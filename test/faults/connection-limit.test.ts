import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, type ClientBase } from 'pg';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { withClient } from '../../lambda/postgres/connection.ts';
import { useDatabase } from '../support/database.ts';
import { useLedger } from './ledger.ts';
import { useOwnServer } from './own-server.ts';
import { planted, plantedRecord } from './planted.ts';
import { type Database, waitForLockWait, whileStoppedAt } from './server-side.ts';

const role = `limited_${randomBytes(4).toString('hex')}`;
const MIDDLE = 'CANARY-MIDDLE';

async function createRole(client: ClientBase, limit: number): Promise<void> {
  await client.query(`
    CREATE ROLE ${role} LOGIN PASSWORD 'planted' CONNECTION LIMIT ${limit};
    GRANT ALL ON ALL TABLES IN SCHEMA public TO ${role}`);
}

function asRole(url: string): string {
  return Object.assign(new URL(url), { username: role, password: 'planted' }).href;
}

/** Looks again and again how many sessions the role has, until the work is over. @returns the largest number */
async function sessionsDuring({ rows }: Database, work: Promise<unknown>): Promise<number> {
  let most = 0;
  let over = false;
  const watch = async () => {
    while (!over) {
      const [{ count = 0 } = {}] = await rows<{ count: number }>(
        'SELECT count(*)::int FROM pg_stat_activity WHERE usename = $1',
        [role],
      );
      most = Math.max(most, count);
      await sleep(5);
    }
  };
  const watching = watch();
  await work;
  over = true;
  await watching;
  return most;
}

describe('a role that may have one connection, and four environments', () => {
  const database = useDatabase();
  const { createFunction, reconcile } = useLedger(database);
  beforeAll(() => createRole(database.client, 1));
  afterAll(async () => {
    await database.client.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  });

  it('get the ids of three back after retries, and never have more connections than it may', async () => {
    const functions = [1, 2, 3, 4].map(() => createFunction({ databaseUrl: asRole(database.url) }));
    const [first, ...others] = functions;

    const outcomes = await whileStoppedAt(database, MIDDLE, async (goOn) => {
      const holder = first!.invoke([...planted(100), plantedRecord({ user_id: MIDDLE })]);
      await waitForLockWait(database);
      const rest = Promise.allSettled(others.map(({ invoke }) => invoke(planted(100))));
      expect(await sessionsDuring(database, rest)).toBe(1);
      await goOn();
      expect(await holder).toEqual([]);
      return rest;
    });

    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({ reason: { name: 'DatabaseFailure', code: '53300' } });
    }
    expect(others.map(({ log }) => log.filter(({ code }) => code === '53300').length)).toEqual([4, 4, 4]);
    await database.client.query(`ALTER ROLE ${role} CONNECTION LIMIT -1`);
    await reconcile();
  });

  it('have one connection each where they may, however many attempts they need', async () => {
    await database.client.query(`ALTER ROLE ${role} CONNECTION LIMIT -1`);
    const functions = [1, 2, 3, 4].map(() => createFunction({ databaseUrl: asRole(database.url) }));
    const batch = planted(1_000);

    const work = Promise.all(functions.map(({ invoke }, i) => invoke(i % 2 ? batch : batch.toReversed())));
    expect(await sessionsDuring(database, work)).toBeLessThanOrEqual(4);

    expect(await work).toEqual([[], [], [], []]);
    await reconcile();
  });
});

describe('a server whose connections are used up', () => {
  const database = useOwnServer();
  const { createFunction, reconcile } = useLedger(database);
  beforeAll(async () => {
    await withClient(database.login, async (client) => {
      await createRole(client, -1);
      await client.query('ALTER SYSTEM SET max_connections = 10');
    });
    await database.server.crash();
    await database.server.restart();
  });

  /** All connections that are not kept for administrators. */
  async function useUp(): Promise<Client[]> {
    const clients: Client[] = [];
    for (;;) {
      const client = new Client({ connectionString: asRole(database.server.url) });
      try {
        await client.connect();
      } catch {
        return clients;
      }
      clients.push(client);
    }
  }

  it('fails the batch after retries', async () => {
    const { invoke, log } = createFunction({ databaseUrl: asRole(database.server.url) });
    const clients = await useUp();

    const failure = expect(invoke(planted(10))).rejects.toThrow('the database cannot be reached (53300)');
    expect(await sessionsDuring(database, failure)).toBe(clients.length);

    expect(log.filter(({ code }) => code === '53300')).toHaveLength(4);
    await Promise.all(clients.map((client) => client.end()));
    await reconcile();
  });

  it('takes the batch within the invocation when one becomes free', async () => {
    const { invoke, log } = createFunction({ databaseUrl: asRole(database.server.url) });
    const [client, ...clients] = await useUp();

    const invocation = invoke(planted(10));
    await vi.waitFor(() => expect(log.map(({ code }) => code)).toContain('53300'), { interval: 5 });
    await client!.end();

    expect(await invocation).toEqual([]);
    await Promise.all(clients.map((client) => client.end()));
    await reconcile();
  });
});
