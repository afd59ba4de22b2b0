import { Client } from 'pg';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { keysetSource } from '../../lambda/aws/keyset.ts';
import type { MaskedColumn, TableDeclaration } from '../../lambda/events/declaration.ts';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { proveKey } from '../../lambda/masking/key-proof.ts';
import { parseKeyset } from '../../lambda/masking/keyset.ts';
import { unmask } from '../../lambda/masking/masker.ts';
import { withClient } from '../../lambda/postgres/connection.ts';
import { migrate } from '../../lambda/postgres/schema.ts';
import { REGION, secretArn, useAwsServer } from '../support/aws-server.ts';
import { useCli } from '../support/cli.ts';
import { useDatabase } from '../support/database.ts';
import { type FunctionOptions, type FunctionUnderTest, useFunctions } from '../support/function.ts';
import { runLambda } from '../support/lambda-process.ts';
import { startProxy } from '../support/proxy.ts';
import { useQueues } from '../support/queue.ts';
import { loginEvent, record, records } from '../support/records.ts';

const database = useDatabase();
const createFunction = useFunctions();
const createQueue = useQueues();
const createCli = useCli();
const aws = useAwsServer();

const ARN = secretArn('keyset');

const MATERIAL = 'CANARY-MATERIAL'.padEnd(43, 'm');
const OTHER_MATERIAL = 'CANARY-OTHER-MATERIAL'.padEnd(43, 'm');
const FIRST = JSON.stringify({ primary: 'k1', k1: MATERIAL });
/** Other material under the same name. */
const OTHER = JSON.stringify({ primary: 'k1', k1: OTHER_MATERIAL });
const ROTATED = JSON.stringify({ primary: 'k2', k1: MATERIAL, k2: OTHER_MATERIAL });

const WRONG_KEY =
  'key "k1": expected the one that wrote the table user_logins, got another of the same name; ' +
  'restore the keyset that wrote it, or give the new key a name of its own (wrong_key)';

const declaration: TableDeclaration = loginEvents;
/** Addresses irreversible, device ids as the configuration says. */
const mixed: TableDeclaration = {
  ...declaration,
  columns: declaration.columns.map((column) =>
    column.type === 'address' ? { ...column, mask: { ...column.mask, masking: 'irreversible' } } : column,
  ),
};
const SCHEMES = [
  { name: 'recoverable', options: { masking: 'recoverable' } },
  { name: 'irreversible', options: { masking: 'irreversible' } },
  { name: 'of both schemes', options: { declaration: mixed } },
] as const;

type Options = Omit<FunctionOptions, 'login' | 'databaseUrl' | 'keysetSource'> & { readonly url?: string };

/** An environment with a keyset of its own. */
function environment(
  keysetJson: string,
  { url = database.url, ...options }: Options = {},
): FunctionUnderTest {
  const keyset = parseKeyset(keysetJson);
  return createFunction({ ...options, databaseUrl: url, keysetSource: () => Promise.resolve(keyset) });
}

async function claims(): Promise<{ kid: string; proof: string }[]> {
  return database.rows('SELECT kid, proof FROM user_logins_keys ORDER BY kid');
}

/** The statements that any connection of this process is given from now on. */
function watchStatements(): string[] {
  const statements: string[] = [];
  const { query } = Client.prototype;
  vi.spyOn(Client.prototype, 'query').mockImplementation(function (this: Client, ...args: unknown[]) {
    const [statement] = args as [string | { text: string }];
    statements.push(typeof statement === 'string' ? statement : statement.text);
    return Reflect.apply(query, this, args) as never;
  });
  return statements;
}
afterEach(() => {
  vi.restoreAllMocks();
});

/** Resolves when as many sessions wait for a lock. @returns their processes */
async function waiting(sessions: number): Promise<number[]> {
  return vi.waitFor(
    async () => {
      const rows = await database.rows<{ pid: number }>(
        `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
      );
      expect(rows).toHaveLength(sessions);
      return rows.map(({ pid }) => pid);
    },
    { timeout: 10_000, interval: 20 },
  );
}

/** Runs work while the table of proofs can be read, and nothing can be put into it. */
async function whileNobodyClaims<T>(work: () => Promise<T>): Promise<T> {
  return withClient(database.login, async (client) => {
    await client.query('BEGIN; LOCK TABLE user_logins_keys IN SHARE MODE');
    return work();
  });
}

describe('the first write', () => {
  it.each(SCHEMES)('claims the key that it masks with, $name', async ({ options }) => {
    const { invoke } = environment(FIRST, options);

    expect(await invoke(records(3))).toEqual([]);

    expect(await claims()).toEqual([proveKey(parseKeyset(FIRST))]);
  });

  it('of a table that is there already, rows and all, claims it as well', async () => {
    await database.client.query(
      `DROP TABLE user_logins_keys; INSERT INTO user_logins (user_id, masked_ip) VALUES ('u', 's1~k1~x')`,
    );
    await migrate(database.client, loginEvents);

    expect(await environment(FIRST).invoke(records(3))).toEqual([]);

    expect(await claims()).toHaveLength(1);
    await expect(environment(OTHER).invoke(records(3))).rejects.toThrow(WRONG_KEY);
    expect(await database.count()).toBe(4);
  });

  it('looks at the key before it sends anything, and later ones pay nothing for it', async () => {
    const { invoke } = environment(FIRST);
    const statements = watchStatements();

    await invoke(records(1_000));
    const first = statements.splice(0);
    for (let i = 0; i < 3; i++) await invoke(records(1_000));

    const batch = [/^BEGIN; .*; COPY user_logins /, /^COMMIT$/];
    const matching = (expected: RegExp[]) => expected.map((form) => expect.stringMatching(form));
    expect(first).toEqual(
      matching([
        /^BEGIN; (?!.*COPY)/,
        /^SELECT .* FROM user_logins_keys/,
        /^INSERT INTO user_logins_keys/,
        /^SELECT .* FROM user_logins_keys/,
        /^COMMIT$/,
        ...batch,
      ]),
    );
    expect(statements).toEqual(matching([...batch, ...batch, ...batch]));
  });
});

describe('an environment with the keyset that wrote the table', () => {
  it.each(SCHEMES)('stores, $name', async ({ options }) => {
    await environment(FIRST, options).invoke(records(3));
    const before = await claims();

    expect(await environment(FIRST, options).invoke(records(3))).toEqual([]);

    expect(await database.count()).toBe(6);
    expect(await claims()).toEqual(before);
  });

  it('starts at the same time as others, and none is in the way of another', async () => {
    const environments = Array.from({ length: 6 }, () => environment(FIRST, { declaration: mixed }));

    const failed = await whileNobodyClaims(async () => {
      const invocations = environments.map(({ invoke }) => invoke(records(50)));
      await waiting(environments.length);
      return invocations;
    });

    expect(await Promise.all(failed)).toEqual(environments.map(() => []));
    expect(environments.flatMap(({ log }) => log).filter(({ level }) => level !== 'info')).toEqual([]);
    expect(await database.count()).toBe(300);
    expect(await claims()).toHaveLength(1);
  });
});

describe('an environment with other material under the name of the key', () => {
  it.each(SCHEMES)(
    'parses and writes nothing, and names the key and the table, $name',
    async ({ options }) => {
      await environment(FIRST, options).invoke(records(3));
      const before = await claims();
      const { invoke, log, reports, failures } = environment(OTHER, options);
      const message = record();
      const read = vi.fn(() => message.body);
      const unread = Object.defineProperty({ ...message }, 'body', { get: read });

      await expect(invoke([unread, ...records(3), record('{}')])).rejects.toThrow(WRONG_KEY);

      expect(failures).toMatchObject([{ name: 'KeysetFailure', code: 'wrong_key', message: WRONG_KEY }]);
      expect(log).toEqual([{ level: 'error', message: WRONG_KEY }]);
      expect(reports).toEqual([]);
      expect(read).not.toHaveBeenCalled();
      expect(await database.count()).toBe(3);
      expect(await claims()).toEqual(before);
    },
  );

  it('fails on Lambda as one without a keyset, and no material is written anywhere', async () => {
    await environment(FIRST).invoke(records(3));

    const run = await runLambda({ DATABASE_URL: database.url, MASKING_KEYSET: OTHER }, [records(3)]);

    expect(run.lines.find(({ errorType }) => errorType !== undefined)).toMatchObject({
      errorType: 'KeysetFailure',
      errorMessage: WRONG_KEY,
    });
    expect(run.lines.filter((line) => '_aws' in line)).toMatchObject([{ KeysetUnreachable: 1 }]);
    expect(run.output).not.toMatch(/CANARY|DatabaseUnreachable|write failed|"rejected"/);
    const [token = ''] = (await claims()).map(({ proof }) => proof.slice('h1~k1~'.length));
    expect(run.output).not.toContain(token);
    expect(await database.count()).toBe(3);
  });

  it('that was fetched and is cached stores as soon as the secret is mended', async () => {
    await environment(FIRST).invoke(records(3));
    aws.secrets.set(ARN, OTHER);
    const keysetSourceOfSecret = keysetSource({ kind: 'secret', arn: ARN, region: REGION });
    const { invoke } = createFunction({ databaseUrl: database.url, keysetSource: keysetSourceOfSecret });
    await expect(invoke(records(3))).rejects.toThrow(WRONG_KEY);

    aws.secrets.set(ARN, FIRST);

    expect(await invoke(records(3))).toEqual([]);
    await invoke(records(3));
    // Once wrong, once mended, and then from the cache again.
    expect(aws.requests).toHaveLength(2);
  });

  it('is found out under another scheme than the table was written in', async () => {
    await environment(FIRST, { masking: 'recoverable' }).invoke(records(3));

    await expect(environment(OTHER, { masking: 'irreversible' }).invoke(records(3))).rejects.toThrow(
      WRONG_KEY,
    );

    expect(await database.count()).toBe(3);
  });

  it('is found out when it gets the other keyset while it runs, and stores again when that is restored', async () => {
    let keyset = parseKeyset(FIRST);
    const { invoke } = createFunction({
      databaseUrl: database.url,
      keysetSource: () => Promise.resolve(keyset),
    });
    await invoke(records(3));

    keyset = parseKeyset(OTHER);
    await expect(invoke(records(3))).rejects.toThrow(WRONG_KEY);
    await expect(invoke(records(3))).rejects.toThrow(WRONG_KEY);
    keyset = parseKeyset(FIRST);

    expect(await invoke(records(3))).toEqual([]);
    expect(await database.count()).toBe(6);
  });

  it('loses, where two start at once on a table without a key: exactly one writes', async () => {
    const contenders = [FIRST, OTHER].map((keyset) => ({ keyset, ...environment(keyset) }));

    const invocations = await whileNobodyClaims(async () => {
      const started = contenders.map(({ invoke }) => invoke(records(50)));
      await waiting(contenders.length);
      return { settled: Promise.allSettled(started) };
    });
    const outcomes = await invocations.settled;

    const winners = contenders.filter((_, i) => outcomes[i]?.status === 'fulfilled');
    expect(winners).toHaveLength(1);
    expect(outcomes).toContainEqual({
      status: 'rejected',
      reason: expect.objectContaining({ message: WRONG_KEY }),
    });
    const rows = await database.rows<{ masked_ip: string }>('SELECT masked_ip FROM user_logins');
    const opened = unmask(
      parseKeyset(winners[0]!.keyset),
      declaration.columns.find(({ type }) => type === 'address') as MaskedColumn,
      rows.map(({ masked_ip }) => masked_ip),
    );
    expect(opened).toHaveLength(50);
    expect(opened).not.toContain(undefined);
  });
});

describe('a rotated keyset', () => {
  it('claims its new key at its first write, and both go on', async () => {
    const before = environment(FIRST);
    await before.invoke(records(3));
    const after = environment(ROTATED);

    expect(await after.invoke(records(3))).toEqual([]);
    expect(await before.invoke(records(3))).toEqual([]);
    expect(await environment(FIRST).invoke(records(3))).toEqual([]);

    expect((await claims()).map(({ kid }) => kid)).toEqual(['k1', 'k2']);
    expect(await database.count()).toBe(12);
  });
});

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
