import { describe, expect, it } from 'vitest';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { appendAudit, withAudit } from '../../lambda/postgres/audit/audit.ts';
import { BEFORE_THE_FIRST, chainHash } from '../../lambda/postgres/audit/chain.ts';
import { withClient } from '../../lambda/postgres/connection.ts';
import { migrate } from '../../lambda/postgres/schema/schema.ts';
import { ACT, append, verifyTrail } from '../support/audit.ts';
import { useCli } from '../support/cli.ts';
import { useDatabase } from '../support/database.ts';
import { dropRole, roleUrl } from '../support/recovery.ts';

const database = useDatabase();
const createCli = useCli();

const verify = (...options: string[]) => verifyTrail(createCli(), database, options);

describe('an act', () => {
  it('stands in the trail as it was, after those before it', async () => {
    const first = await append(database);
    const second = await append(database, {
      action: 'keys add',
      columns: [],
      kids: [],
      count: 0,
      reason: 'Ünicode "x" \\',
    });

    expect([first.number, second.number]).toEqual([1, 2]);
    expect([first.previous, second.previous]).toEqual([BEFORE_THE_FIRST, first.hash]);
    expect(first.hash).toBe(chainHash(first));
    expect(await verify()).toEqual({
      exitCode: 0,
      verdict: { ok: true, count: 2, head: second.hash, faults: [] },
    });
    const [{ age } = { age: '' }] = await database.rows<{ age: string }>(
      `SELECT (clock_timestamp() - min(at) < interval '1 minute')::text AS age FROM pii_audit`,
    );
    expect(age).toBe('true');
  });

  it('is there before what it allows is begun, and is not begun where it cannot be there', async () => {
    const url = await roleUrl(database, 'SELECT ON pii_audit');
    let begun = 0;
    const seen = await withClient(database.login, (client) =>
      withAudit(client, ACT, async () => (await database.rows('SELECT 1 FROM pii_audit')).length),
    );

    await expect(
      withClient({ kind: 'url', url }, (client) => withAudit(client, ACT, () => begun++)),
    ).rejects.toThrow(/^the audit trail pii_audit cannot be written \(42501\); log in as a role/);

    expect({ seen, begun }).toEqual({ seen: 1, begun: 0 });
    await dropRole(database, url);
  });

  it('that is taken back with its transaction leaves no gap', async () => {
    await append(database);
    await withClient(database.login, async (client) => {
      await client.query('BEGIN');
      await appendAudit(client, ACT);
      await client.query('ROLLBACK');
    });
    await append(database);

    expect(await verify()).toMatchObject({ exitCode: 0, verdict: { ok: true, count: 2 } });
  });

  it('makes one chain with those that are appended at the same moment', async () => {
    const rows = await Promise.all(Array.from({ length: 12 }, () => append(database)));

    expect(rows.map(({ number }) => number).toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: 12 }, (_, i) => i + 1),
    );
    expect(await verify()).toMatchObject({ exitCode: 0, verdict: { ok: true, count: 12 } });
  });

  it('makes one chain also where sessions have another isolation, or only read, by default', async () => {
    const url = new URL(database.url);
    url.searchParams.set(
      'options',
      '-c default_transaction_isolation=serializable -c default_transaction_read_only=on',
    );
    const login = { kind: 'url', url: url.href } as const;
    const rows = await Promise.all(Array.from({ length: 12 }, () => append({ ...database, login })));

    expect(new Set(rows.map(({ number }) => number)).size).toBe(12);
    expect(await verify()).toMatchObject({ exitCode: 0, verdict: { ok: true, count: 12 } });
  });
});

it('an act is said not to be written where the last number was taken', async () => {
  await append(database);
  await database.client.query('UPDATE pii_audit SET number = 9223372036854775807');

  await expect(append(database)).rejects.toThrow(
    /cannot be written: its last row has the number 9223372036854775807/,
  );
});

it.each([
  [
    'trigger that swallows it',
    'CREATE TRIGGER lose BEFORE INSERT ON pii_audit FOR EACH ROW EXECUTE FUNCTION lose()',
    'DROP TRIGGER lose ON pii_audit',
  ],
  [
    'rule that swallows it',
    'CREATE RULE lose AS ON INSERT TO pii_audit DO INSTEAD NOTHING',
    'DROP RULE lose ON pii_audit',
  ],
])('an act is not begun, and no migration goes through, with a %s', async (_what, create, drop) => {
  await database.client.query(
    `CREATE OR REPLACE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; ${create}`,
  );
  try {
    const refused = /expected a table that keeps what is written to it, got a (trigger|rule) lose/;
    await expect(append(database)).rejects.toThrow(refused);
    await expect(withClient(database.login, (client) => migrate(client, loginEvents))).rejects.toThrow(
      refused,
    );
  } finally {
    await database.client.query(drop);
  }
});

it('an act is not begun where the trail is partitioned, because a partition may swallow it', async () => {
  await database.client.query(
    `ALTER TABLE pii_audit RENAME TO set_aside;
     CREATE TABLE pii_audit (LIKE set_aside) PARTITION BY RANGE (number);
     CREATE TABLE pii_audit_rows PARTITION OF pii_audit DEFAULT`,
  );
  try {
    await expect(append(database)).rejects.toThrow(
      'expected a table that keeps what is written to it, got a relation that is no table',
    );
  } finally {
    await database.client.query('DROP TABLE pii_audit; ALTER TABLE set_aside RENAME TO pii_audit');
  }
});

it('an act waits for one that is appended, and is said not to be written where that does not end', async () => {
  await withClient(database.login, async (other) => {
    await other.query('BEGIN');
    await appendAudit(other, ACT);

    await expect(append(database)).rejects.toThrow(
      /^the audit trail pii_audit cannot be written \(55P03\); another session has appended to it/,
    );
    await other.query('COMMIT');
  });
  expect((await append(database)).number).toBe(2);
});

describe('the table of the trail', () => {
  it('where a migration of before has not made it, is what commands ask for in one line', async () => {
    await database.client.query('ALTER TABLE pii_audit RENAME TO set_aside');
    try {
      for (const command of ['list', 'verify']) {
        const { exitCode, stdout, stderr } = await createCli().run([
          'audit',
          command,
          '--database-url',
          database.url,
        ]);
        expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
        expect(stderr).toMatch(/^vizard: [^\n]*42P01[^\n]*run the migration[^\n]*\n$/);
      }
      await withClient(database.login, (client) => migrate(client, loginEvents));
      expect((await append(database)).number).toBe(1);
    } finally {
      await database.client.query(
        'DROP TABLE IF EXISTS pii_audit; ALTER TABLE set_aside RENAME TO pii_audit',
      );
    }
  });

  it('is not taken for another one of its name', async () => {
    await database.client.query('ALTER TABLE pii_audit ADD COLUMN more text');
    try {
      await expect(withClient(database.login, (client) => migrate(client, loginEvents))).rejects.toThrow(
        /^table pii_audit: expected \(number bigint, [^\n]+ got another table of that name; rename it$/,
      );
    } finally {
      await database.client.query('ALTER TABLE pii_audit DROP COLUMN more');
    }
  });
});
