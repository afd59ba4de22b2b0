import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { eraseRows } from '../../bin/commands/erase/erase-rows.ts';
import { tokensOfQuery } from '../../bin/commands/recover/query.ts';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { parseKeyset } from '../../lambda/masking/keyset.ts';
import { appendAudit, digestOf, withAudit } from '../../lambda/postgres/audit/audit.ts';
import { type DatabaseClient, withClient } from '../../lambda/postgres/connection.ts';
import { rekey } from '../../lambda/postgres/rekey/rekey.ts';
import { migrate } from '../../lambda/postgres/schema/schema.ts';
import { findAliases, findSealed } from '../../lambda/postgres/vault/read.ts';
import { useCli } from '../support/cli.ts';
import { useDatabase } from '../support/database.ts';
import { useFunctions } from '../support/function.ts';
import { recordOf, TODAY } from '../support/partitions.ts';
import { KEYSET_JSON, loginEvent, record, records } from '../support/records.ts';
import { uniqueRoles } from '../support/roles.ts';
import { tlsLogin } from '../support/tls.ts';

const plain = useDatabase();
const partitioned = useDatabase({ empty: true });
const createFunction = useFunctions();
const createCli = useCli();
const roles = uniqueRoles();
const { writer, reader, recovery, custodian } = roles;

const PASSWORD = 'stands-for-a-token';
const DENIED = { code: '42501' };
const PERSON = { who: 'arn:aws:sts::111122223333:assumed-role/privacy/jane', reason: 'ticket 4711' };
const act = (tokens: readonly string[]) => ({
  ...PERSON,
  action: 'recover' as const,
  columns: ['masked_ip'],
  kids: ['k1'],
  count: tokens.length,
  digest: digestOf(tokens),
});

const ROW = `INSERT INTO user_logins (user_id, masked_ip, create_date, event_id)
  VALUES ('u', 'h1~k1~t', '2024-01-01', gen_random_uuid())`;
const SEALED = `
  WITH key AS (INSERT INTO user_logins_vault_keys VALUES (gen_random_uuid(), 'r', '\\x01', current_date) RETURNING id)
  INSERT INTO user_logins_vault SELECT 'h1~k1~t', 'ip', id, '\\x02' FROM key`;

beforeAll(async () => {
  await migrate(plain.client, loginEvents, { roles, vault: true });
  await migrate(partitioned.client, loginEvents, { roles, vault: true, partitions: { today: TODAY } });
  for (const role of Object.values(roles)) {
    await plain.client.query(`ALTER ROLE ${role} PASSWORD '${PASSWORD}'`);
  }
});

/** What a role does is taken back, unless it commits itself. */
function as<T>(user: string, work: (client: DatabaseClient) => Promise<T>, { url } = plain): Promise<T> {
  return withClient(tlsLogin(url, { user, password: async () => PASSWORD }), work);
}

/** @returns the code of the refusal, or what was done */
function attempt(user: string, sql: string): Promise<unknown> {
  return as(user, async (client) => {
    await client.query('BEGIN');
    return client.query(sql).then(
      ({ command }) => ({ done: command }),
      ({ code }: { code: string }) => ({ code }),
    );
  });
}

describe('who recovers', () => {
  it('reads tokens by a query and what is sealed under them, and appends to the trail', async () => {
    await plain.client.query(
      `${ROW}; ${SEALED}; INSERT INTO user_logins_aliases VALUES ('h1~k1~t', 'h1~k2~t')`,
    );

    await as(recovery, async (client) => {
      const query = 'SELECT masked_ip FROM user_logins_current UNION ALL SELECT masked_ip FROM user_logins';
      const asked = await tokensOfQuery(client, { query, column: 'masked_ip', limit: 10 });
      expect(asked.tokens.map(({ text }) => text)).toEqual(['h1~k2~t', 'h1~k1~t']);
      expect(await findSealed(client, loginEvents, ['h1~k1~t'])).toHaveLength(1);
      expect(await findAliases(client, loginEvents, ['h1~k2~t'])).toHaveLength(1);
      expect(await withAudit(client, act(['h1~k1~t']), ({ number }) => number)).toBe(1);
    });

    await plain.client.query('TRUNCATE user_logins_aliases, user_logins_vault, user_logins_vault_keys');
  });

  it.each([
    ROW,
    `UPDATE user_logins SET masked_ip = NULL`,
    'DELETE FROM user_logins',
    'SELECT * FROM user_logins FOR UPDATE',
    'DELETE FROM user_logins_keys',
    'SELECT * FROM user_logins_rekeys',
    `INSERT INTO user_logins_aliases VALUES ('a', 'b')`,
    SEALED,
    'DELETE FROM user_logins_vault',
    'DELETE FROM user_logins_vault_keys',
    `UPDATE pii_audit SET reason = 'another'`,
    'DELETE FROM pii_audit',
    'TRUNCATE pii_audit',
    'DROP TABLE pii_audit',
    'CREATE TABLE public.mine (a int)',
  ])('is refused %s', async (sql) => {
    expect(await attempt(recovery, sql)).toEqual(DENIED);
  });
});

describe.each([
  ['a plain table', plain],
  ['a partitioned table', partitioned],
])('who keeps the keys, with %s', (_name, database) => {
  it.each([false, true])('erases a person beside what is kept of their tokens, blank: %s', async (blank) => {
    await database.client.query(
      `${ROW}; ${SEALED}; INSERT INTO user_logins_aliases VALUES ('h1~k1~t', 'h1~k2~t')`,
    );
    const tokens = ['h1~k1~t'];
    const erasure = {
      declaration: loginEvents,
      sought: [[{ column: 'masked_ip', tokens }]],
      blank,
      person: PERSON,
      asked: { columns: ['masked_ip'], kids: ['k1'], tokens },
      checkKeyset: () => Promise.resolve(),
    };

    const { rows } = await as(custodian, (client) => eraseRows(client, erasure, 1), database);

    expect(rows).toBe(1);
    expect(await database.rows('SELECT masked_ip FROM user_logins')).toEqual(
      blank ? [{ masked_ip: null }] : [],
    );
    for (const kept of ['aliases', 'vault']) {
      expect(await database.rows(`SELECT * FROM user_logins_${kept}`)).toEqual([]);
    }
    await database.client.query('TRUNCATE user_logins, user_logins_vault_keys');
  });
});

describe.each([
  ['a plain table', plain],
  ['a partitioned table', partitioned],
])('who keeps the keys, with %s', (_name, database) => {
  it('rewrites all of it, by the table alone', async () => {
    const { invoke } = createFunction({ databaseUrl: database.url });
    expect(await invoke([...records(60), recordOf(TODAY), recordOf(TODAY + 1)])).toEqual([]);
    const keyset = parseKeyset(KEYSET_JSON.replace('"primary":"k1"', '"primary":"k2"'));
    const silent = { begin() {}, advance() {}, note() {}, end() {} };
    const options = {
      rotation: { from: 'k1', to: 'k2' },
      rows: 62,
      batchSize: 20,
      signal: new AbortController().signal,
      progress: silent,
      onBatch() {},
    };

    const outcome = await as(custodian, (client) => rekey(client, loginEvents, keyset, options), database);

    expect(outcome).toMatchObject({ kind: 'done', rewritten: 62 });
    const rows = await database.rows(`SELECT DISTINCT split_part(masked_ip, '~', 2) AS kid FROM user_logins`);
    expect(rows).toEqual([{ kid: 'k2' }]);
    await database.client.query('TRUNCATE user_logins, user_logins_keys');
  });
});

describe('by the commands', () => {
  it('one leads a key through its whole life and erases, the other recovers and looks up', async () => {
    const { directory, run } = createCli();
    writeFileSync(join(directory, 'keyset.json'), KEYSET_JSON.replace(/,"k2":"b+"/, ''));
    const event = loginEvent({ ip: '203.0.113.7' });
    expect(await createFunction({ databaseUrl: plain.url }).invoke([record(event)])).toEqual([]);
    const vizard = async (user: string, ...args: string[]) => {
      const url = Object.assign(new URL(plain.url), { username: user, password: PASSWORD }).href;
      const shared = ['--keyset', 'keyset.json', '--reason', 'ticket 4711', '--database-url', url];
      const { exitCode, stdout, stderr } = await run([...args, ...shared]);
      expect(exitCode, stderr).toBe(0);
      return stdout;
    };
    const query = ['--query', 'SELECT masked_ip FROM user_logins', '--column', 'masked_ip'];

    await vizard(custodian, 'keys', 'add', 'k2');
    await vizard(custodian, 'keys', 'promote', 'k2', '--now');
    await vizard(custodian, 'rekey', '--from', 'k1', '--to', 'k2', '--now');
    await vizard(custodian, 'keys', 'retire', 'k1');
    await vizard(custodian, 'keys', 'shred', 'k1', '--now', '--yes');
    expect(await vizard(recovery, 'recover', ...query)).toMatch(/^s1~k2~.*\t203\.0\.113\.7\n$/);
    expect(await vizard(recovery, 'lookup', '--ip', '203.0.113.7')).toContain('s1~k2~');
    await vizard(custodian, 'erase', '--ip', '203.0.113.7', '--yes');

    expect(await plain.count()).toBe(0);
    expect(await plain.rows('SELECT action FROM pii_audit ORDER BY number')).toEqual(
      ['keys add', 'keys promote', 'rekey', 'keys retire', 'keys shred', 'recover', 'lookup', 'erase'].map(
        (action) => ({ action }),
      ),
    );
  });
});

describe('who keeps the keys', () => {
  it.each([
    ROW,
    `UPDATE user_logins SET user_id = 'another'`,
    `UPDATE user_logins SET create_date = '2024-01-02'`,
    'TRUNCATE user_logins',
    'DROP TABLE user_logins',
    `UPDATE user_logins_keys SET proof = 'x'`,
    'SELECT sealed_key FROM user_logins_vault_keys',
    'DELETE FROM user_logins_rekeys',
    'UPDATE user_logins_rekey_groups SET rows = 0',
    `UPDATE pii_audit SET reason = 'another'`,
    'DELETE FROM pii_audit',
    'TRUNCATE pii_audit',
    'ALTER TABLE pii_audit DISABLE TRIGGER ALL',
    'CREATE TABLE public.mine (a int)',
  ])('is refused %s', async (sql) => {
    expect(await attempt(custodian, sql)).toEqual(DENIED);
  });
});

describe.each([
  ['the ingest', writer],
  ['an analyst', reader],
])('%s', (_name, role) => {
  it.each([
    'SELECT token FROM user_logins_vault',
    'SELECT sealed FROM user_logins_vault',
    'SELECT id FROM user_logins_vault_keys',
    `INSERT INTO user_logins_aliases VALUES ('a', 'b')`,
    'DELETE FROM user_logins_vault',
    `UPDATE user_logins_vault SET sealed = '\\x03'`,
    'SELECT * FROM pii_audit',
    'INSERT INTO pii_audit DEFAULT VALUES',
  ])('is refused %s', async (sql) => {
    expect(await attempt(role, sql)).toEqual(DENIED);
  });

  it('cannot append to the trail', async () => {
    await expect(as(role, (client) => appendAudit(client, act([])))).rejects.toThrow(
      /cannot be written \(42501\)/,
    );
  });
});

it('the ingest puts sealed values into the vault, and does not learn what is there', async () => {
  const insert = `INSERT INTO user_logins_vault VALUES ('h1~k1~t', 'ip', gen_random_uuid(), '\\x02') ON CONFLICT DO NOTHING`;
  await plain.client.query(SEALED);

  expect(await attempt(writer, insert)).toEqual({ done: 'INSERT' });
  expect(await attempt(writer, `${insert} RETURNING token`)).toEqual(DENIED);
  expect(await attempt(writer, `${insert.replace('CONFLICT', 'CONFLICT (token)')}`)).toEqual(DENIED);
});

describe('the migration', () => {
  it('makes a trail that nobody but its owner may use by default', async () => {
    const another = `another_${writer}`;
    await plain.client.query(`CREATE ROLE ${another};
      ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO ${another}; DROP TABLE pii_audit`);
    try {
      await migrate(plain.client, loginEvents, { roles });

      const grantees = await plain.rows<{ role: string }>(
        `SELECT DISTINCT grantee::regrole::text AS role FROM pg_class, aclexplode(relacl)
         WHERE oid = 'pii_audit'::regclass AND grantee <> relowner ORDER BY 1`,
      );
      expect(grantees.map(({ role }) => role)).toEqual([custodian, recovery]);
    } finally {
      await plain.client.query(`DROP OWNED BY ${another}; DROP ROLE ${another}`);
    }
  });

  it.each(['UPDATE', 'UPDATE (reason)', 'DELETE', 'TRUNCATE', 'TRIGGER'])(
    'refuses a database where somebody else has %s on the trail',
    async (privilege) => {
      await plain.client.query(`BEGIN; CREATE ROLE meddler_${writer};
        GRANT SELECT, INSERT ON pii_audit TO meddler_${writer}; GRANT ${privilege} ON pii_audit TO meddler_${writer}`);
      const [bare] = privilege.split(' ');

      await expect(migrate(plain.client, loginEvents, { roles })).rejects.toThrow(
        `table pii_audit: expected that nobody but its owner changes rows, got ${bare} of meddler_${writer}; run REVOKE ${bare} ON pii_audit FROM meddler_${writer}`,
      );
    },
  );
});
