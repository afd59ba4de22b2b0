import { beforeEach, describe, expect, it } from 'vitest';
import type { TableDeclaration } from '../../lambda/events/declaration.ts';
import { loginEvents, loginEventsWith } from '../../lambda/events/login-event.ts';
import { runMigration } from '../../lambda/migration.ts';
import { migrate } from '../../lambda/postgres/schema/schema.ts';
import { useDatabase } from '../support/database.ts';
import { takeBackToFirstView } from '../support/first-view.ts';
import { memoryLog } from '../support/log.ts';
import { TODAY } from '../support/partitions.ts';
import { uniqueRoles } from '../support/roles.ts';

const database = useDatabase({ empty: true });
const VIEW = 'user_login_repeats';
const GROWN: TableDeclaration = {
  ...loginEvents,
  columns: [
    ...loginEvents.columns,
    { column: 'masked_cookie', source: ['cookie'], type: 'text', optional: true, mask: { domain: 'cookie' } },
  ],
};
/** What somebody makes of the view: without what occurs only twice. */
const change = async () => {
  const changed = (await definition()).replace('(count(*) > 1)', '(count(*) > 2)');
  await database.client.query(`CREATE OR REPLACE VIEW ${VIEW} AS ${changed}`);
};

async function definition(): Promise<string> {
  const rows = await database.rows<{ sql: string }>(`SELECT pg_get_viewdef('${VIEW}'::regclass) AS sql`);
  return rows[0]!.sql;
}

async function viewRow(): Promise<unknown> {
  const rows = await database.rows(
    `SELECT reloptions, obj_description(oid, 'pg_class') AS comment, relowner::regrole::text AS owner,
            (SELECT xmin::text FROM pg_rewrite WHERE ev_class = pg_class.oid) AS made
     FROM pg_class WHERE oid = '${VIEW}'::regclass`,
  );
  return rows[0];
}

beforeEach(async () => {
  await database.client.query('DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public');
  await migrate(database.client, loginEvents);
});

describe('the view of repeats', () => {
  it('is not made again where it is the one of this version', async () => {
    const before = await viewRow();

    await migrate(database.client, loginEvents);

    expect(await viewRow()).toEqual(before);
  });

  it('is brought up to a newer version, and keeps its options', async () => {
    await database.client.query(`ALTER VIEW ${VIEW} SET (security_invoker = true, security_barrier)`);

    await migrate(database.client, GROWN);
    expect(await definition()).toContain('masked_cookie');
    await migrate(database.client, loginEvents);

    expect(await definition()).not.toContain('masked_cookie');
    expect(await viewRow()).toMatchObject({ reloptions: ['security_invoker=true', 'security_barrier=true'] });
  });

  it('says so where a newer version has other columns', async () => {
    const { repeats } = loginEvents;
    const renamed: TableDeclaration = { ...loginEvents, repeats: { ...repeats, count: 'times' } };

    await expect(runMigration(renamed, { login: database.login }, memoryLog().log)).rejects.toThrow(
      /^the database was not migrated; the view that is there has other columns; drop it.* \(42P16\)$/,
    );
  });

  it('stays as somebody has changed it, which is said', async () => {
    await change();
    const [before, theirs] = [await viewRow(), await definition()];
    const { log, lines } = memoryLog();

    await runMigration(GROWN, { login: database.login }, log);

    expect([await viewRow(), await definition()]).toEqual([before, theirs]);
    expect(lines).toEqual([
      {
        level: 'warn',
        message: `left view ${VIEW} as somebody changed it; to have ours, drop it and run the migration again`,
      },
      { level: 'info', message: 'user_logins is up to date' },
    ]);
    await database.client.query(`DROP VIEW ${VIEW}`);
    await migrate(database.client, GROWN);
    expect(await definition()).toContain('masked_cookie');
  });

  it('keeps the comment that somebody gave it', async () => {
    await database.client.query(`COMMENT ON VIEW ${VIEW} IS 'theirs'`);

    await migrate(database.client, loginEvents);

    expect(await viewRow()).toMatchObject({ comment: 'theirs' });
  });

  it('may be that of an owner for whom the administrator may not act', async () => {
    const { writer: owner, reader: administrator } = uniqueRoles();
    await database.client.query(
      `COMMENT ON VIEW ${VIEW} IS NULL; CREATE ROLE ${owner}; CREATE ROLE ${administrator};
       ALTER VIEW ${VIEW} OWNER TO ${owner}; ALTER SCHEMA public OWNER TO ${administrator}; SET ROLE ${administrator}`,
    );

    expect(
      await migrate(database.client, loginEvents).finally(() => database.client.query('RESET ROLE')),
    ).toEqual([]);

    expect(await viewRow()).toMatchObject({ comment: null, owner });
    await database.client.query(
      `DROP OWNED BY ${owner}, ${administrator} CASCADE; DROP ROLE ${owner}, ${administrator}`,
    );
  });
});

describe('the view of repeats of the first versions, which put no mark on it', () => {
  const LEFT = `left view ${VIEW} as somebody changed it; to have ours, drop it and run the migration again`;
  /** What the migration says of it. */
  const warnings = async (declaration: TableDeclaration) => {
    const { log, lines } = memoryLog();
    await runMigration(declaration, { login: database.login }, log);
    return lines.filter(({ level }) => level === 'warn').map(({ message }) => message);
  };

  beforeEach(() => takeBackToFirstView(database.client));

  it.each([
    ['', loginEvents],
    [', also when a network is added to the table', loginEventsWith({ ipNetwork: true })],
  ])('is brought up to this version%s, and nothing is said of it', async (_when, declaration) => {
    expect(await warnings(declaration)).toEqual([]);

    expect(await definition()).toContain('user_logins_aliases');
    expect(await viewRow()).toMatchObject({ comment: expect.stringMatching(/^Made by Vizard/) });
  });

  it('reads all partitions when the table becomes partitioned', async () => {
    await migrate(database.client, loginEvents, { partitions: { today: TODAY } });

    expect(await definition()).toMatch(/FROM user_logins\b(?!_)/);
  });

  it.each([
    ['somebody has changed it', change],
    [
      'somebody went back to it from a later version',
      async () => {
        const first = await definition();
        await database.client.query(`DROP VIEW ${VIEW}`);
        await migrate(database.client, loginEvents);
        await database.client.query(`CREATE OR REPLACE VIEW ${VIEW} AS ${first}`);
      },
    ],
    [
      'they could not have made it of this table',
      async () => {
        await database.client.query(
          `DROP VIEW ${VIEW}; ALTER TABLE user_logins ALTER masked_ip TYPE text COLLATE "C", ALTER masked_device_id TYPE text COLLATE "POSIX";
           CREATE VIEW ${VIEW} AS SELECT 1 AS mine`,
        );
      },
    ],
  ])('stays where %s, which is said', async (_where, happen) => {
    await happen();
    const [before, theirs] = [await viewRow(), await definition()];

    expect(await warnings(loginEvents)).toEqual([LEFT]);

    expect([await viewRow(), await definition()]).toEqual([before, theirs]);
  });
});

describe('the view of repeats when the table becomes partitioned', () => {
  const PARTITIONED = { partitions: { today: TODAY } };

  it.each([
    ['of this version', loginEvents],
    ['of an earlier version', GROWN],
  ])('reads all partitions, where it was one %s, and keeps its options', async (_name, earlier) => {
    await migrate(database.client, earlier);
    await database.client.query(`ALTER VIEW ${VIEW} SET (security_invoker = true)`);

    await migrate(database.client, loginEvents, PARTITIONED);

    expect(await definition()).toMatch(/FROM user_logins\b(?!_)/);
    expect(await definition()).not.toMatch(/user_logins_history|masked_cookie/);
    expect(await viewRow()).toMatchObject({ reloptions: ['security_invoker=true'] });
    // Still one of ours, for the version that comes next.
    await migrate(database.client, GROWN, PARTITIONED);
    expect(await definition()).toContain('masked_cookie');
  });

  it('is refused in one line where somebody has changed it, and stays as it was', async () => {
    await change();
    const [before, theirs] = [await viewRow(), await definition()];

    await expect(migrate(database.client, loginEvents, PARTITIONED)).rejects.toThrow(
      `table user_logins: expected nothing on it that is lost when it becomes partitioned, got view ${VIEW}; take it off, and put it on again afterwards`,
    );

    expect([await viewRow(), await definition()]).toEqual([before, theirs]);
  });
});
