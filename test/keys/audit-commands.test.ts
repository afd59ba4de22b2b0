import { describe, expect, it } from 'vitest';
import type { AuditRow } from '../../lambda/postgres/audit/audit.ts';
import { BEFORE_THE_FIRST, chainHash } from '../../lambda/postgres/audit/chain.ts';
import { ACT, append, appendMany, verifyTrail } from '../support/audit.ts';
import { useCli } from '../support/cli.ts';
import { useDatabase } from '../support/database.ts';

const database = useDatabase();
const createCli = useCli();

const verify = (...options: string[]) => verifyTrail(createCli(), database, options);

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
    await appendMany(database, 5);
    await database.client.query(tampering);

    const { exitCode, verdict } = await verify();

    expect(exitCode).toBe(1);
    expect(verdict).toMatchObject({ ok: false });
    expect(verdict.faults).toEqual(faults);
  });

  it('finds, by a head that was noted, that the end was cut off or the chain made anew', async () => {
    const rows = await appendMany(database, 3);
    const head = rows.at(-1)!.hash;
    expect(await verify('--head', head)).toMatchObject({
      exitCode: 0,
      verdict: { ok: true, headFound: true },
    });
    await append(database);
    expect(await verify('--head', head)).toMatchObject({ exitCode: 0 });

    await database.client.query('DELETE FROM pii_audit WHERE number > 2');

    expect(await verify()).toMatchObject({ exitCode: 0, verdict: { count: 2 } });
    expect(await verify('--head', head)).toMatchObject({
      exitCode: 1,
      verdict: { ok: false, headFound: false },
    });
    await append(database);
    expect(await verify('--head', head)).toMatchObject({ exitCode: 1 });
  });

  it('says to a person what it found, a line each, and the head to note', async () => {
    const rows = await appendMany(database, 4);
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
    await appendMany(database, 3);
    await append(database, { reason: '\u001b[31mred' });
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
