import type { SQSRecord } from 'aws-lambda';
import { describe, expect, it, vi } from 'vitest';
import { isMasked, type TableDeclaration } from '../../lambda/events/declaration.ts';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { parseKeyset } from '../../lambda/masking/keyset.ts';
import { useDatabase } from '../support/database.ts';
import { type FunctionOptions, useFunctions } from '../support/function.ts';
import { startProxy } from '../support/proxy.ts';
import { KEYSET_JSON, loginEvent, record, records } from '../support/records.ts';
import { useVault } from '../support/vault.ts';

const database = useDatabase();
const createFunction = useFunctions();
const { sealing, counts, expectValuesOf } = useVault(database);
const sealed = { databaseUrl: database.url, ...sealing };

/** A value of the vault, as it is. */
async function vault(): Promise<Map<string, string>> {
  const rows = await database.rows<{ token: string; sealed: string }>(
    `SELECT token, encode(sealed, 'hex') AS sealed FROM user_logins_vault`,
  );
  return new Map(rows.map(({ token, sealed }) => [token, sealed]));
}

/** @returns what a warm function sends for a batch while the server gets none of it, a character for each byte */
async function sentFor(
  options: Omit<FunctionOptions, 'databaseUrl' | 'login'>,
  batch: readonly SQSRecord[],
): Promise<string> {
  const proxy = await startProxy(database.url);
  try {
    const { invoke } = createFunction({ ...options, databaseUrl: proxy.url });
    await invoke(records(1));
    const begin = proxy.hold('BEGIN');
    const invocation = invoke(batch);
    const held = await begin;
    await vi.waitFor(() => expect(held.text().includes('COMMIT'), 'COMMIT is sent').toBe(true), {
      timeout: 5_000,
    });
    const sent = held.text();
    held.pass();
    expect(await invocation).toEqual([]);
    return sent;
  } finally {
    proxy.close();
  }
}

function fixed(policy: 'recoverable' | 'irreversible'): TableDeclaration {
  return {
    ...loginEvents,
    columns: loginEvents.columns.map((column) =>
      isMasked(column) && column.type === 'address'
        ? { ...column, mask: { ...column.mask, policy } }
        : column,
    ),
  };
}

describe('a batch whose values are sealed', () => {
  // One chunk, a COPY for each chunk, one COPY for all chunks.
  it.each([1, 128, 1_000, 5_000])(
    'of %i records has each of them in the vault, and nothing else',
    async (count) => {
      const { invoke, reports } = createFunction(sealed);
      const batch = records(count);

      expect(await invoke(batch)).toEqual([]);

      expect(reports).toMatchObject([{ stored: count }]);
      await expectValuesOf(batch);
      expect(await counts()).toEqual({ values: 2 * count, contentKeys: 1 });
    },
  );

  it('has every value once, however often it occurs', async () => {
    const { invoke } = createFunction(sealed);
    const batch = Array.from({ length: 300 }, () => record());

    expect(await invoke(batch)).toEqual([]);

    await expectValuesOf(batch);
    expect(await counts()).toEqual({ values: 2, contentKeys: 1 });
  });

  it('without a record, and one with none that is good, leave nothing', async () => {
    const { invoke } = createFunction(sealed);

    expect(await invoke([])).toEqual([]);
    const bad = record('{}');
    expect(await invoke([bad])).toEqual([bad.messageId]);

    expect(await counts()).toEqual({ values: 0, contentKeys: 0 });
  });

  it('keeps what is in the vault as it is, and leaves no content key where nothing is new', async () => {
    const batch = records(200);
    await createFunction(sealed).invoke(batch);
    const before = await vault();

    const { invoke } = createFunction(sealed);
    const repeated = records(200);
    expect(await invoke(repeated)).toEqual([]);

    expect(await vault()).toEqual(before);
    expect(await counts()).toEqual({ values: 400, contentKeys: 1 });
    await expectValuesOf([...batch, ...repeated]);
  });

  it('has its values there when its events were in the table already, by COPY and by redelivery', async () => {
    const { invoke, reports } = createFunction(sealed);
    const batch = records(10);
    await invoke(batch);
    const more = records(150);

    expect(await invoke([...batch, ...more])).toEqual([]);
    expect(await invoke(records(3, { receiveCount: 2 }))).toEqual([]);

    expect(reports.map(({ stored, duplicates }) => [stored, duplicates])).toEqual([
      [10, 0],
      [150, 10],
      [3, 0],
    ]);
    const tokens = await database.rows<{ missing: number }>(
      `SELECT count(*)::int AS missing FROM user_logins, unnest(ARRAY[masked_ip, masked_device_id]) AS token
       WHERE token NOT IN (SELECT token FROM user_logins_vault)`,
    );
    expect(tokens).toEqual([{ missing: 0 }]);
  });

  it('is one round trip: all of it is sent, COMMIT included, before the server has said a word', async () => {
    const sent = await sentFor(sealing, records(1_000));

    expect(sent).toMatch(/COPY user_logins .*INSERT INTO user_logins_vault .*COMMIT/s);
    expect(await database.count()).toBe(1_001);
  });

  it('is one round trip where nothing is new as well', async () => {
    const sent = await sentFor(sealing, records(1));

    expect(sent).not.toContain('user_logins_vault');
    expect(await database.count()).toBe(2);
  });
});

describe('what is known to be in the vault', () => {
  it('is neither sealed nor sent again', async () => {
    const { invoke } = createFunction(sealed);
    await invoke(records(10));
    // What is not sent is not there afterwards.
    await database.client.query('DELETE FROM user_logins_vault');

    await invoke(records(10));

    expect(await counts()).toMatchObject({ values: 0 });
  });

  it('is forgotten with the connection, whose successor may lead to another database', async () => {
    const { invoke } = createFunction(sealed);
    await invoke(records(10));
    await database.client.query('DELETE FROM user_logins_vault');
    await database.client.query(
      `SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
       WHERE datname = current_database() AND application_name = 'vizard'`,
    );

    await invoke(records(10));

    expect(await counts()).toMatchObject({ values: 20 });
  });

  it('is forgotten with the keyset', async () => {
    let keyset = parseKeyset(KEYSET_JSON);
    const { invoke } = createFunction({ ...sealed, keysetSource: () => Promise.resolve(keyset) });
    await invoke(records(10));
    await database.client.query('DELETE FROM user_logins_vault');
    keyset = parseKeyset(KEYSET_JSON);

    await invoke(records(10));

    expect(await counts()).toMatchObject({ values: 20 });
  });
});

describe('columns', () => {
  it('that a declaration fixes as irreversible are not in the vault', async () => {
    const { invoke } = createFunction({ ...sealed, declaration: fixed('irreversible') });

    expect(await invoke(records(5))).toEqual([]);

    const kept = await database.rows(
      `SELECT count(*)::int AS addresses FROM user_logins JOIN user_logins_vault ON token = masked_ip`,
    );
    expect(kept).toEqual([{ addresses: 0 }]);
    expect(await counts()).toMatchObject({ values: 5 });
  });

  it('that a declaration fixes as recoverable are refused before anything is received', () => {
    expect(() => createFunction({ ...sealed, declaration: fixed('recoverable') })).toThrow(
      'column masked_ip: expected irreversible tokens where values are sealed, got recoverable ones',
    );
  });

  it('that are all recoverable are refused', () => {
    expect(() => createFunction({ ...sealed, masking: 'recoverable' })).toThrow('masked_ip');
  });
});

describe('where values are not sealed', () => {
  it('nothing is put into a vault that is there', async () => {
    await createFunction({ databaseUrl: database.url, masking: 'irreversible' }).invoke(records(5));

    expect(await counts()).toEqual({ values: 0, contentKeys: 0 });
  });

  it('there is no statement more than there was', async () => {
    const sent = await sentFor({ masking: 'irreversible' }, [record(loginEvent())]);

    expect(sent).toContain('FROM STDIN (FORMAT binary); COMMIT\0');
    expect(sent).not.toMatch(/transaction_timeout|vault/);
  });
});

it('the database never hears a value in clear', async () => {
  const sent = await sentFor(sealing, [
    record(loginEvent({ ip: '2001:db8:ca7a::1', device_id: 'CANARY-DEVICE' })),
  ]);

  expect(sent).toContain('user_logins_vault');
  expect(sent).not.toMatch(/CANARY|ca7a/);
  expect(sent).not.toContain(Buffer.from('20010db8ca7a', 'hex').toString('latin1'));
});
