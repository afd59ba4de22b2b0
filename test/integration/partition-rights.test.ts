import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { migrate } from '../../lambda/postgres/schema/schema.ts';
import { useDatabase } from '../support/database.ts';
import { useFunctions } from '../support/function.ts';
import { compact, keep, partitions, recordOf, TODAY } from '../support/partitions.ts';
import { uniqueRoles } from '../support/roles.ts';

const database = useDatabase({ empty: true });
const createFunction = useFunctions();
const PARTITIONED = { partitions: { today: TODAY } };
const { writer: owner, reader: other } = uniqueRoles();
const administrator = `administrator_${owner}`;

const run = (sql: string) => database.client.query(sql);

beforeAll(async () => {
  await run(`CREATE ROLE ${owner}; CREATE ROLE ${other}; CREATE ROLE ${administrator}`);
});
beforeEach(async () => {
  await run('CREATE SCHEMA IF NOT EXISTS public');
});
afterEach(async () => {
  await run(`RESET ROLE; DROP SCHEMA public CASCADE; REVOKE ${owner} FROM ${administrator};
    DROP OWNED BY ${owner}, ${other}, ${administrator}`);
});
afterAll(async () => {
  await run(`DROP ROLE ${owner}, ${other}, ${administrator}`);
});

/** The table, its partitions and their indexes. */
const EVENTS = '^user_logins(_\\d{8}|_default|_history)?(_event_key)?$';

/** Of all of these. */
async function owners(): Promise<string[]> {
  const rows = await database.rows<{ owner: string }>(
    `SELECT DISTINCT pg_get_userbyid(relowner)::text AS owner FROM pg_class
     WHERE relname ~ $1`,
    [EVENTS],
  );
  return rows.map((row) => row.owner);
}

/** Whoever may do something with a partition itself, or with the table, but for owners. */
async function grantees(): Promise<unknown[]> {
  return database.rows(
    `SELECT DISTINCT grantee::regrole::text AS role, CASE relname WHEN 'user_logins' THEN 'table' ELSE 'partition' END AS of
     FROM pg_class, aclexplode(relacl)
     WHERE grantee <> relowner AND relname ~ $1 ORDER BY 1, 2`,
    [EVENTS],
  );
}

describe('default privileges', () => {
  const GRANT_ALL = `ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO ${other}, ${owner} WITH GRANT OPTION;
    ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC`;
  const TAKE_BACK = `ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM ${other}, ${owner}, PUBLIC`;

  it('give nobody a right on partitions, nor on the table at its takeover what it was refused before', async () => {
    await migrate(database.client, loginEvents);
    await run(`GRANT SELECT ON user_logins TO ${owner}; ${GRANT_ALL}`);

    await migrate(database.client, loginEvents, PARTITIONED);
    await createFunction({ databaseUrl: database.url }).invoke([recordOf(TODAY), recordOf(TODAY + 1)]);
    await keep(database, TODAY, 3);
    await run(TAKE_BACK);

    expect(await partitions(database)).toContain('history');
    expect(await grantees()).toEqual([{ role: owner, of: 'table' }]);
    await run(`SET ROLE ${other}`);
    for (const table of ['user_logins', 'user_logins_default', `user_logins_${compact(TODAY + 1)}`]) {
      await expect(run(`SELECT masked_ip FROM ${table}`)).rejects.toMatchObject({ code: '42501' });
    }
  });
});

describe('a table of another owner', () => {
  beforeEach(async () => {
    await run(`ALTER SCHEMA public OWNER TO ${administrator}`);
    await migrate(database.client, loginEvents);
    const others = await database.rows<{ name: string }>(
      `SELECT relname AS name FROM pg_class
       WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v') AND relname <> 'user_logins'`,
    );
    // ALTER TABLE takes views as well.
    for (const { name } of others) await run(`ALTER TABLE ${name} OWNER TO ${administrator}`);
    await run(`ALTER TABLE user_logins OWNER TO ${owner}; GRANT SELECT ON user_logins TO ${administrator}`);
  });

  it('stays that of its owner, partitions that come later and their indexes included', async () => {
    await run(
      `GRANT ${owner} TO ${administrator}; GRANT CREATE ON SCHEMA public TO ${owner}; SET ROLE ${administrator}`,
    );

    await migrate(database.client, loginEvents, PARTITIONED);
    await run('RESET ROLE');
    await keep(database, TODAY, 3);

    expect(await owners()).toEqual([owner]);
    await run(`GRANT USAGE ON SCHEMA public TO ${owner}; SET ROLE ${owner}`);
    await run('ALTER TABLE user_logins ADD COLUMN theirs text');
    await run('RESET ROLE');
    await run(`SET ROLE ${administrator}`);
    expect(await migrate(database.client, loginEvents, PARTITIONED)).toEqual([]);
    await run(`INSERT INTO user_logins (user_id, create_date) VALUES ('u', '2023-11-14')`);
    expect(await database.rows('SELECT * FROM user_login_repeats')).toEqual([]);
  });

  it.each([
    ['is no member of that role', () => run(`GRANT CREATE ON SCHEMA public TO ${owner}`)],
    ['is one in whose schema that role makes nothing', () => run(`GRANT ${owner} TO ${administrator}`)],
  ])('is refused in one line where the administrator %s, and stays as it was', async (_name, prepare) => {
    await prepare();
    await run(`SET ROLE ${administrator}`);

    await expect(migrate(database.client, loginEvents, PARTITIONED)).rejects.toThrow(
      `table user_logins: expected an owner to whom ${administrator} can give partitions, got ${owner}; run GRANT ${owner} TO ${administrator} and GRANT CREATE ON SCHEMA public TO ${owner}`,
    );

    await run('RESET ROLE');
    expect(await database.rows(`SELECT FROM pg_class WHERE relkind = 'p'`)).toEqual([]);
  });
});
