import { randomBytes } from 'node:crypto';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { runMigration } from '../../lambda/migration.ts';
import { type Login, withClient } from '../../lambda/postgres/connection.ts';
import { useDatabase } from '../support/database.ts';
import { useFunctions } from '../support/function.ts';
import { memoryLog } from '../support/log.ts';
import { records } from '../support/records.ts';
import { uniqueRoles } from '../support/roles.ts';

const database = useDatabase({ empty: true });
const createFunction = useFunctions();

const suffix = randomBytes(6).toString('hex');
/** As RDS makes the first user: no superuser, and it may pass rds_iam on without having its rights. */
const master = `master_${suffix}`;
const app = `app_${suffix}`;
const name = new URL(database.url).pathname.slice(1);
const PASSWORD = 'p';

beforeAll(async () => {
  await database.client.query(`
    CREATE ROLE ${master} LOGIN CREATEROLE CREATEDB PASSWORD '${PASSWORD}';
    GRANT rds_iam TO ${master} WITH ADMIN OPTION, INHERIT FALSE, SET FALSE;
    CREATE ROLE ${app} LOGIN PASSWORD '${PASSWORD}'`);
});

beforeEach(async () => {
  await database.client.query(`
    ALTER DATABASE ${name} OWNER TO ${master};
    DROP SCHEMA IF EXISTS ${master} CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public;
    ALTER SCHEMA public OWNER TO pg_database_owner; GRANT USAGE ON SCHEMA public TO PUBLIC`);
});

const loginAs = (user: string): Login => ({
  kind: 'url',
  url: Object.assign(new URL(database.url), { username: user, password: PASSWORD }).href,
});

const runAs = (user: string, sql: string) => withClient(loginAs(user), (client) => client.query(sql));

/** @returns what it created */
async function migrateAsMaster(roles = uniqueRoles()): Promise<string[]> {
  const { log, lines } = memoryLog();
  await runMigration(loginEvents, { login: loginAs(master), roles }, log);
  return lines.map(({ message }) => message).filter((message) => message.startsWith('created'));
}

/** Stores as the writer and reads as the reader, with passwords in place of IAM tokens. */
async function useRoles({ writer, reader } = uniqueRoles()): Promise<void> {
  for (const role of [writer, reader]) await runAs(master, `ALTER ROLE ${role} PASSWORD '${PASSWORD}'`);
  const { invoke } = createFunction({ login: loginAs(writer) });
  expect(await invoke(records(10))).toEqual([]);
  const { rows } = await runAs(reader, 'SELECT count(*)::int FROM user_logins');
  expect(rows).toEqual([{ count: 10 }]);
  await runAs(reader, 'SELECT * FROM user_login_repeats');
}

const OTHER_TABLE = `CREATE TABLE user_logins (user_id varchar(128), create_date date); ALTER TABLE user_logins OWNER TO ${app}`;

describe('the first user of RDS', () => {
  it('migrates, again as well, to roles that can work', async () => {
    const roles = uniqueRoles();

    expect(await migrateAsMaster(roles)).toEqual([
      'created table user_logins',
      ...Object.values(roles).map((role) => `created role ${role}`),
    ]);
    expect(await migrateAsMaster(roles)).toEqual([]);

    await useRoles(roles);
  });

  it('migrates in a schema of its own, and the roles find it there', async () => {
    const roles = uniqueRoles();
    await runAs(master, `CREATE SCHEMA ${master}`);

    await migrateAsMaster(roles);
    await migrateAsMaster(roles);

    await useRoles(roles);
    const tables = await database.rows(`SELECT FROM pg_tables WHERE schemaname = 'public'`);
    expect(tables).toEqual([]);
  });

  it('keeps tables, index and view together where the table is not in the first schema', async () => {
    const roles = uniqueRoles();
    await migrateAsMaster(roles);
    await runAs(
      master,
      `DROP VIEW user_login_repeats; DROP INDEX user_logins_event_key; DROP TABLE user_logins_keys; CREATE SCHEMA ${master}`,
    );

    await migrateAsMaster(roles);

    await useRoles(roles);
  });

  it.each([
    [
      'a table of somebody else',
      OTHER_TABLE,
      /^the database was not migrated; log in as the owner of the schema, of the tables .*\(42501\)$/,
    ],
    [
      'a schema in which everybody may create',
      'GRANT CREATE ON SCHEMA public TO PUBLIC',
      /^role writer_\w+: expected no right to CREATE on schema public, .*; run REVOKE CREATE ON schema public FROM PUBLIC$/,
    ],
    [
      'a schema of somebody else that it may use but not pass on',
      `ALTER DATABASE ${name} OWNER TO ${app}; REVOKE ALL ON SCHEMA public FROM PUBLIC; GRANT USAGE, CREATE ON SCHEMA public TO ${master}`,
      /^role writer_\w+: expected the right to USAGE on schema public, got none; log in as the owner of it/,
    ],
    [
      'a table of proofs of somebody else, which it may use but not pass on',
      `CREATE TABLE user_logins_keys (kid text NOT NULL, proof text NOT NULL, PRIMARY KEY (kid));
       ALTER TABLE user_logins_keys OWNER TO ${app}; GRANT INSERT, SELECT ON user_logins_keys TO ${master}`,
      /^role writer_\w+: expected the right to INSERT on table user_logins_keys, got none; log in as the owner of it/,
    ],
  ])('is refused %s, with advice, and nothing has changed', async (_name, prepare, message) => {
    const roles = uniqueRoles();
    await database.client.query(prepare);

    await expect(migrateAsMaster(roles)).rejects.toThrow(message);

    const made = await database.rows('SELECT FROM pg_roles WHERE rolname = ANY ($1)', [Object.values(roles)]);
    expect(made).toEqual([]);
  });

  it('leaves others the right to create, which it refuses', async () => {
    await runAs(master, 'GRANT CREATE ON SCHEMA public TO PUBLIC');

    await expect(migrateAsMaster()).rejects.toThrow('expected no right to CREATE');

    await runAs(app, 'CREATE TABLE of_another_application (a int)');
  });

  it('is told of a reader that has passed its rights on', async () => {
    const roles = uniqueRoles();
    await migrateAsMaster(roles);
    await runAs(master, `ALTER ROLE ${roles.reader} PASSWORD '${PASSWORD}'`);
    await runAs(master, `GRANT SELECT ON user_logins TO ${roles.reader} WITH GRANT OPTION`);
    await runAs(roles.reader, `GRANT SELECT ON user_logins TO ${app}`);

    await expect(migrateAsMaster(roles)).rejects.toThrow(
      /^the database was not migrated; a role of it has granted .* to others; .* \(2BP01\)$/,
    );
  });
});
