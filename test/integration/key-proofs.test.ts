import { describe, expect, it, vi } from 'vitest';
import { keysetSource } from '../../lambda/aws/keyset.ts';
import type { MaskedColumn } from '../../lambda/events/declaration.ts';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { proveKeys } from '../../lambda/masking/key-proof.ts';
import { parseKeyset } from '../../lambda/masking/keyset.ts';
import { unmask } from '../../lambda/masking/masker.ts';
import { migrate } from '../../lambda/postgres/schema/schema.ts';
import { REGION, secretArn, useAwsServer } from '../support/aws-server.ts';
import { useDatabase } from '../support/database.ts';
import { type FunctionOptions, useFunctions } from '../support/function.ts';
import {
  declaration,
  FIRST,
  mixed,
  OTHER,
  ROTATED,
  SCHEMES,
  useKeys,
  WRONG_KEY,
} from '../support/key-proofs.ts';
import { runLambda } from '../support/lambda-process.ts';
import { record, records } from '../support/records.ts';
import { useStatements } from '../support/statements.ts';

const database = useDatabase();
const createFunction = useFunctions();
const { environment, claims, waiting, whileNobodyClaims } = useKeys(database, createFunction);
const aws = useAwsServer();
const watchStatements = useStatements();

const ARN = secretArn('keyset');

describe('the first write', () => {
  it.each(SCHEMES)('claims the key that it masks with, $name', async ({ options }) => {
    const { invoke } = environment(FIRST, options);

    expect(await invoke(records(3))).toEqual([]);

    const { declaration: table = declaration, masking = 'recoverable' }: FunctionOptions = {
      databaseUrl: database.url,
      ...options,
    };
    expect(await claims()).toEqual(proveKeys(parseKeyset(FIRST), masking, table).toReversed());
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
    const next = environment(FIRST);
    const statements = watchStatements();

    await invoke(records(1_000));
    const first = statements.splice(0);
    for (let i = 0; i < 3; i++) await invoke(records(1_000));
    const later = statements.splice(0);
    await next.invoke(records(1_000));

    const batch = [/^BEGIN; .*; COPY user_logins .*; COMMIT$/];
    const look = /^BEGIN; (?!.*COPY).*; SELECT .* FROM user_logins_keys; ROLLBACK$/;
    const matching = (expected: RegExp[]) => expected.map((form) => expect.stringMatching(form));
    expect(first).toEqual(
      matching([
        look,
        /^BEGIN; (?!.*COPY)/,
        /^SELECT .* FROM user_logins_keys/,
        /^INSERT INTO user_logins_keys/,
        /^SELECT .* FROM user_logins_keys/,
        /^COMMIT$/,
        ...batch,
      ]),
    );
    expect(later).toEqual(matching([...batch, ...batch, ...batch]));
    // An environment that finds its key there asks once.
    expect(statements).toEqual(matching([look, ...batch]));
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
    expect((await claims()).map(({ kid }) => kid)).toEqual(['h1~k1', 'k1']);
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
