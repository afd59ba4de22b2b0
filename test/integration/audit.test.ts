import { describe, expect, it } from 'vitest';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { type Act, type AuditRow, appendAudit, digestOf, withAudit } from '../../lambda/postgres/audit.ts';
import { BEFORE_THE_FIRST, chainHash } from '../../lambda/postgres/audit-chain.ts';
import { withClient } from '../../lambda/postgres/connection.ts';
import { migrate } from '../../lambda/postgres/schema.ts';
import { useCli } from '../support/cli.ts';
import { useDatabase } from '../support/database.ts';
import { dropRole, roleUrl } from '../support/recovery.ts';

const database = useDatabase();
const createCli = useCli();

const ACT: Act = {
  who: 'alice@host',
  reason: 'SUP-1',
  action: 'recover',
  columns: ['masked_ip'],
  kids: ['k1', 'k2'],
  count: 2,
  digest: digestOf([]),
};

function append(changes: Partial<Act> = {}): Promise<AuditRow> {
  return withClient(database.login, (client) => withAudit(client, { ...ACT, ...changes }, (row) => row));
}

async function appendMany(count: number): Promise<AuditRow[]> {
  const rows: AuditRow[] = [];
  for (let i = 1; i <= count; i++) rows.push(await append({ reason: `SUP-${i}` }));
  return rows;
}

/** `vizard audit verify --json`. */
async function verify(...options: string[]) {
  const result = await createCli().run([
    'audit',
    'verify',
    '--json',
    '--database-url',
    database.url,
    ...options,
  ]);
  return { exitCode: result.exitCode, verdict: result.json() as Record<string, unknown> };
}

describe('an act', () => {
  it('stands in the trail as it was, after those before it', async () => {
    const first = await append();
    const second = await append({
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
    await append();
    await withClient(database.login, async (client) => {
      await client.query('BEGIN');
      await appendAudit(client, ACT);
      await client.query('ROLLBACK');
    });
    await append();

    expect(await verify()).toMatchObject({ exitCode: 0, verdict: { ok: true, count: 2 } });
  });

  it('makes one chain with those that are appended at the same moment', async () => {
    const rows = await Promise.all(Array.from({ length: 12 }, () => append()));

    expect(rows.map(({ number }) => number).toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: 12 }, (_, i) => i + 1),
    );
    expect(await verify()).toMatchObject({ exitCode: 0, verdict: { ok: true, count: 12 } });
  });
});

it('an act is said not to be written where the last number was taken', async () => {
  await append();
  await database.client.query('UPDATE pii_audit SET number = 9223372036854775807');

  await expect(append()).rejects.toThrow(
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
    await expect(append()).rejects.toThrow(refused);
    await expect(withClient(database.login, (client) => migrate(client, loginEvents))).rejects.toThrow(
      refused,
    );
  } finally {
    await database.client.query(drop);
  }
});

it('an act waits for one that is appended, and is said not to be written where that does not end', async () => {
  await withClient(database.login, async (other) => {
    await other.query('BEGIN');
    await appendAudit(other, ACT);

    await expect(append()).rejects.toThrow(
      /^the audit trail pii_audit cannot be written \(55P03\); another session has appended to it/,
    );
    await other.query('COMMIT');
  });
  expect((await append()).number).toBe(2);
});

describe('vizard audit verify', () => {
  it.each<[string, string, object[]]>([
    [
      'a row that was altered',
      `UPDATE pii_audit SET reason = 'another' WHERE number = 3`,
      [{ number: 3, fault: 'altered' }],
    ],
    [
      'a time that was altered by a microsecond',
      `UPDATE pii_audit SET at = at + interval '1 microsecond' WHERE number = 3`,
      [{ number: 3, fault: 'altered' }],
    ],
    [
      'a time that was moved before the common era',
      `UPDATE pii_audit SET at = (to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00 BC')::timestamptz WHERE number = 3`,
      [{ number: 3, fault: 'altered' }],
    ],
    [
      'a number that nobody gets to, exactly',
      `UPDATE pii_audit SET number = 9223372036854775807 WHERE number = 5`,
      [
        { number: 5, fault: 'missing', rows: '9223372036854775802' },
        { number: '9223372036854775807', fault: 'altered' },
      ],
    ],
    [
      'a count that was altered',
      'UPDATE pii_audit SET count = 1 WHERE number = 3',
      [{ number: 3, fault: 'altered' }],
    ],
    [
      'a row that is missing',
      'DELETE FROM pii_audit WHERE number = 3',
      [{ number: 3, fault: 'missing', rows: 1 }],
    ],
    [
      'rows that are missing at the beginning',
      'DELETE FROM pii_audit WHERE number < 3',
      [{ number: 1, fault: 'missing', rows: 2 }],
    ],
    [
      'rows that changed places',
      'UPDATE pii_audit SET number = CASE number WHEN 3 THEN -4 ELSE -3 END WHERE number IN (3, 4);' +
        'UPDATE pii_audit SET number = -number WHERE number < 0',
      [3, 3, 4, 4, 5].map((number) => expect.objectContaining({ number })),
    ],
  ])('finds %s', async (_what, tampering, faults) => {
    await appendMany(5);
    await database.client.query(tampering);

    const { exitCode, verdict } = await verify();

    expect(exitCode).toBe(1);
    expect(verdict).toMatchObject({ ok: false });
    expect(verdict.faults).toEqual(faults);
  });

  it('finds, by a head that was noted, that the end was cut off or the chain made anew', async () => {
    const rows = await appendMany(3);
    const head = rows.at(-1)!.hash;
    expect(await verify('--head', head)).toMatchObject({
      exitCode: 0,
      verdict: { ok: true, headFound: true },
    });
    await append();
    expect(await verify('--head', head)).toMatchObject({ exitCode: 0 });

    await database.client.query('DELETE FROM pii_audit WHERE number > 2');

    expect(await verify()).toMatchObject({ exitCode: 0, verdict: { count: 2 } });
    expect(await verify('--head', head)).toMatchObject({
      exitCode: 1,
      verdict: { ok: false, headFound: false },
    });
    await append();
    expect(await verify('--head', head)).toMatchObject({ exitCode: 1 });
  });

  it('says to a person what it found, a line each, and the head to note', async () => {
    const rows = await appendMany(4);
    await database.client.query(
      `UPDATE pii_audit SET who = 'bob' WHERE number = 1; DELETE FROM pii_audit WHERE number = 3`,
    );

    const { exitCode, stdout } = await createCli().run(['audit', 'verify', '--database-url', database.url]);

    expect(exitCode).toBe(1);
    expect(stdout.split('\n')).toEqual([
      'row 1 was altered',
      'row 3 is missing',
      'the chain is broken: 3 rows',
      `head ${rows[3]!.hash}`,
      '',
    ]);
  });

  it('takes a trail of any length, and says how far it is', async () => {
    const rows: AuditRow[] = [];
    for (let number = 1; number <= 4_500; number++) {
      const previous = rows.at(-1)?.hash ?? BEFORE_THE_FIRST;
      const row = { ...ACT, number, at: '2026-11-22T10:00:00.000000Z', previous };
      rows.push({ ...row, hash: chainHash(row) });
    }
    await database.client.query(
      `INSERT INTO pii_audit SELECT * FROM jsonb_populate_recordset(NULL::pii_audit, $1)`,
      [JSON.stringify(rows)],
    );

    const { exitCode, stdout, stderr } = await createCli().run([
      'audit',
      'verify',
      '--database-url',
      database.url,
    ]);

    expect({ exitCode, stdout }).toEqual({
      exitCode: 0,
      stdout: `the chain is whole: 4500 rows\nhead ${rows.at(-1)!.hash}\n`,
    });
    expect(stderr).toContain('verified 4500/4500');
  });
});

describe('vizard audit list', () => {
  it('shows the newest first, as many as are asked for, and nothing that a terminal obeys', async () => {
    await appendMany(3);
    await append({ reason: '\u001b[31mred' });
    const list = (...options: string[]) =>
      createCli().run(['audit', 'list', '--database-url', database.url, ...options]);

    const json = await list('--json', '--limit', '2');
    const text = await list();

    const { rows } = json.json() as { rows: AuditRow[] };
    expect(rows.map(({ number, reason }) => [number, reason])).toEqual([
      [4, '\u001b[31mred'],
      [3, 'SUP-3'],
    ]);
    expect(rows[1]).toMatchObject({ ...ACT, reason: 'SUP-3' });
    expect(json.stdout + text.stdout).not.toContain('\u001b');
    expect(text.stdout).toMatch(/4 .*\\u001b\[31mred[\s\S]*3 .*SUP-3[\s\S]*2 .*SUP-2[\s\S]*1 .*SUP-1/);
  });
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
      expect((await append()).number).toBe(1);
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
