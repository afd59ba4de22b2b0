import { describe, expect, it, vi } from 'vitest';
import { withClient } from '../../lambda/postgres/connection.ts';
import { useCli } from '../support/cli.ts';
import { useDatabase } from '../support/database.ts';
import { useFunctions } from '../support/function.ts';
import { FIRST, OTHER, useKeys, WRONG_KEY } from '../support/key-proofs.ts';
import { startProxy } from '../support/proxy.ts';
import { useQueues } from '../support/queue.ts';
import { loginEvent, records } from '../support/records.ts';

const database = useDatabase();
const { environment, claims, waiting, whileNobodyClaims } = useKeys(database, useFunctions());
const createQueue = useQueues();
const createCli = useCli();

describe('a fault of the database in the middle of the check', () => {
  it('that kills the connection is mended within the invocation', async () => {
    const { invoke, log, reports } = environment(FIRST);

    const invocation = await whileNobodyClaims(async () => {
      const started = invoke(records(10));
      const [pid] = await waiting(1);
      await database.client.query('SELECT pg_terminate_backend($1)', [pid]);
      return { started };
    });

    expect(await invocation.started).toEqual([]);
    expect(log.map(({ code }) => code)).toContain('57P01');
    expect(reports).toMatchObject([{ stored: 10 }]);
    expect(await claims()).toHaveLength(1);
  });

  it('that loses the answer to the claim is mended within the invocation', async () => {
    const proxy = await startProxy(database.url);
    try {
      const held = proxy.hold('COMMIT');
      const { invoke, reports } = environment(FIRST, { url: proxy.url });

      const invocation = invoke(records(10));
      await (await held).loseAnswer();

      expect(await invocation).toEqual([]);
      expect(reports).toMatchObject([{ stored: 10 }]);
      expect(await claims()).toHaveLength(1);
    } finally {
      proxy.close();
    }
  });

  it('that leaves a claim open keeps others waiting no longer than its invocation could have gone on', async () => {
    const proxy = await startProxy(database.url);
    try {
      const held = proxy.hold('COMMIT');
      const lost = environment(FIRST, { url: proxy.url });
      const next = environment(FIRST);

      const invocation = lost.invoke(records(10), { milliseconds: 2_000 });
      await held;
      proxy.behave('stall');

      expect(await next.invoke(records(10))).toEqual([]);
      expect(await invocation).toHaveLength(10);
      expect(await database.count()).toBe(10);
    } finally {
      proxy.close();
    }
  });

  it('that is a fault of the deployment blames neither the key nor a record', async () => {
    const { invoke, failures, log } = environment(FIRST);
    await database.client.query('ALTER TABLE user_logins_keys RENAME TO gone');
    try {
      await expect(invoke(records(10))).rejects.toThrow(
        'the database does not fit this version: schema or privileges (42P01)',
      );
    } finally {
      await database.client.query('ALTER TABLE gone RENAME TO user_logins_keys');
    }
    expect(failures).toMatchObject([{ name: 'DatabaseFailure' }]);
    expect(log.filter(({ message }) => message === 'rejected')).toEqual([]);
    expect(await database.count()).toBe(0);
  });

  it('that lets nobody at the table of proofs hands every id back in time', async () => {
    const { invoke, reports } = environment(FIRST);
    const batch = records(10);

    const failed = await whileNobodyClaims(() => invoke(batch, { milliseconds: 5_000 }));

    expect(new Set(failed)).toEqual(new Set(batch.map(({ messageId }) => messageId)));
    // The database is there, it is only busy.
    expect(reports).toMatchObject([{ stored: 0, unreachable: undefined }]);
    await waiting(0);
    expect(await database.count()).toBe(0);
  });

  it('does not hide a wrong key, which is told when the table can be read again', async () => {
    await environment(FIRST).invoke(records(3));
    const { invoke, log } = environment(OTHER);

    const invocation = await withClient(database.login, async (client) => {
      await client.query('BEGIN; LOCK TABLE user_logins_keys IN ACCESS EXCLUSIVE MODE');
      const started = Promise.allSettled([invoke(records(10), { milliseconds: 8_000 })]);
      await vi.waitFor(() => expect(log.map(({ code }) => code)).toEqual(['57014']), 10_000);
      return { started };
    });

    const [outcome] = await invocation.started;
    expect(outcome).toMatchObject({ status: 'rejected', reason: { message: WRONG_KEY } });
    expect(await database.count()).toBe(3);
  });
});

describe('vizard run with another keyset than the one that wrote the table', () => {
  it('ends at once with that line, and leaves messages and table as they are', async () => {
    await environment(FIRST).invoke(records(3));
    const queue = await createQueue();
    await queue.send(Array.from({ length: 5 }, () => JSON.stringify(loginEvent())));
    const { queueUrl, endpointUrl } = queue;
    const args = ['--queue-url', queueUrl, '--endpoint-url', endpointUrl, '--database-url', database.url];
    const run = (keyset: string) =>
      createCli().run(['run', '--json', ...args], { env: { MASKING_KEYSET: keyset } });

    const refused = await run(OTHER);

    expect(refused).toMatchObject({ exitCode: 2, stdout: '', stderr: `vizard: ${WRONG_KEY}\n` });
    expect(await queue.state()).toMatchObject({ visible: 5, inFlight: 0 });
    expect(await database.count()).toBe(3);

    const restored = await run(FIRST);

    expect(restored.exitCode).toBe(0);
    expect(restored.json()).toMatchObject({ received: 5, stored: 5 });
  });

  it('claims nothing for a queue that is empty', async () => {
    const { queueUrl, endpointUrl } = await createQueue();
    const args = ['--queue-url', queueUrl, '--endpoint-url', endpointUrl, '--database-url', database.url];

    const { exitCode } = await createCli().run(['run', '--json', ...args], {
      env: { MASKING_KEYSET: FIRST },
    });

    expect(exitCode).toBe(0);
    expect(await claims()).toEqual([]);
  });
});
