import { beforeAll, describe, expect, it } from 'vitest';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { migrate } from '../../lambda/postgres/schema/schema.ts';
import { useDatabase } from '../support/database.ts';
import { uniqueRoles } from '../support/roles.ts';

const database = useDatabase();
const roles = uniqueRoles();
const { writer, reader } = roles;
const group = `group_of_${writer}`;

beforeAll(async () => {
  await migrate(database.client, loginEvents, { roles, vault: true });
});

/** What the migration says after these statements, which it takes back because it fails. */
async function complaint(statements: string): Promise<unknown> {
  await database.client.query(`BEGIN; ${statements}`);
  return migrate(database.client, loginEvents, { roles }).then(
    () => 'nothing',
    (error: Error) => error.message,
  );
}

describe('the migration refuses a right that the roles have by another way', () => {
  it.each([
    ['SELECT (masked_ip)', 'table user_logins', writer],
    ['SELECT', 'view user_login_repeats', writer],
    ['SELECT (masked_value)', 'view user_login_repeats', writer],
    ['INSERT', 'table user_logins', reader],
    ['INSERT (user_id)', 'table user_logins', reader],
    ['INSERT', 'view user_login_repeats', writer],
    ['UPDATE', 'table user_logins', writer],
    ['UPDATE (locale)', 'table user_logins', writer],
    ['DELETE', 'table user_logins', writer],
    ['TRUNCATE', 'table user_logins', writer],
    ['REFERENCES', 'table user_logins', writer],
    ['TRIGGER', 'table user_logins', writer],
    ['MAINTAIN', 'table user_logins', writer],
    ['TRIGGER', 'view user_login_repeats', writer],
    ['UPDATE', 'table user_logins_keys', writer],
    ['DELETE', 'table user_logins_keys', writer],
    ['SELECT', 'table user_logins_keys', reader],
    ['INSERT (proof)', 'table user_logins_keys', reader],
    ['SELECT', 'view user_logins_current', writer],
    ['SELECT (current)', 'table user_logins_aliases', writer],
    ['SELECT', 'table user_logins_vault', writer],
    ['SELECT (sealed_key)', 'table user_logins_vault_keys', writer],
    ['INSERT', 'table user_logins_rekeys', writer],
    ['DELETE', 'table pii_audit', writer],
    ['UPDATE (reason)', 'table pii_audit', writer],
    ['CREATE', 'schema public', writer],
  ])('%s on %s, as everybody', async (privilege, object, role) => {
    const name = object.replace('view', 'table');
    const [bare] = privilege.split(' ');

    const message = await complaint(`GRANT ${privilege} ON ${name} TO PUBLIC`);

    expect(message).toMatch(
      new RegExp(`^role ${role}: expected no right to ${bare}[^;]* on ${object}, got one because`),
    );
    expect(message).toMatch(new RegExp(`; run REVOKE ${bare} ON ${name} FROM PUBLIC$`));
  });

  it('and says why everybody may create, which it does not take from others', async () => {
    expect(await complaint('GRANT CREATE ON SCHEMA public TO PUBLIC')).toBe(
      `role ${writer}: expected no right to CREATE on schema public, got one because PUBLIC has it, as in databases ` +
        'that began before PostgreSQL 15; run REVOKE CREATE ON schema public FROM PUBLIC',
    );
  });

  it.each([
    'table user_logins',
    'table user_logins_keys',
    'table user_logins_vault',
    'table pii_audit',
    'view user_login_repeats',
    'view user_logins_current',
    'schema public',
  ])('as the owner of %s', async (object) => {
    expect(await complaint(`ALTER ${object} OWNER TO ${reader}`)).toBe(
      `role ${reader}: expected not to own ${object}, got its owner; run ALTER ${object} OWNER TO another role`,
    );
  });

  it.each([
    ['reader', 'table user_logins_aliases', 'INSERT'],
    ['custodian', 'table user_logins_rekeys', 'DELETE'],
    ['custodian', 'table user_logins_rekey_groups', 'UPDATE'],
    ['recovery', 'table user_logins_vault', 'DELETE'],
    ['custodian', 'table user_logins', 'UPDATE (user_id)'],
    ['custodian', 'table user_logins_vault_keys', 'SELECT'],
  ] as const)('the %s on %s, granted by another role', async (kind, object, privilege) => {
    const name = object.replace('table ', '');
    const message = await complaint(
      `CREATE ROLE ${group}; GRANT ALL ON ${name} TO ${group} WITH GRANT OPTION;
       SET ROLE ${group}; GRANT ${privilege} ON ${name} TO ${roles[kind]}; RESET ROLE`,
    );

    expect(message).toBe(
      `role ${roles[kind]}: expected no right to ${privilege} on ${object}, got one that another role granted; revoke it as that role`,
    );
  });

  it('as granted by another role', async () => {
    const message = await complaint(
      `CREATE ROLE ${group}; GRANT ALL ON user_logins TO ${group} WITH GRANT OPTION;
       SET ROLE ${group}; GRANT DELETE ON user_logins TO ${writer}; RESET ROLE`,
    );

    expect(message).toBe(
      `role ${writer}: expected no right to DELETE on table user_logins, got one that another role granted; revoke it as that role`,
    );
  });

  it.each([
    ['inherited', 'TRUE'],
    ['by SET ROLE', 'FALSE'],
  ])('as a member of another role, %s', async (_name, inherit) => {
    const message = await complaint(
      `CREATE ROLE ${group}; GRANT ${group} TO ${writer} WITH INHERIT ${inherit}; GRANT SELECT ON user_logins TO ${group}`,
    );

    expect(message).toBe(
      `role ${writer}: expected to be a member of rds_iam only, got another; run REVOKE ${group} FROM ${writer}`,
    );
  });

  it.each(['SUPERUSER', 'CREATEROLE', 'CREATEDB', 'BYPASSRLS', 'REPLICATION'])('by %s', async (attribute) => {
    expect(await complaint(`ALTER ROLE ${reader} ${attribute}`)).toBe(
      `role ${reader}: expected no attribute ${attribute}, got it; run ALTER ROLE ${reader} NO${attribute}`,
    );
  });
});

describe('the migration refuses to call it done', () => {
  it('where a role may not connect', async () => {
    const name = new URL(database.url).pathname.slice(1);

    expect(await complaint(`REVOKE CONNECT ON DATABASE ${name} FROM PUBLIC`)).toBe(
      `role ${writer}: expected the right to CONNECT on database ${name}, got none; log in as the owner of it, or have its owner grant it`,
    );
  });

  it.each(['user_login_repeats', 'user_logins_current'])(
    'where the view %s may not read the table',
    async (view) => {
      const message = await complaint(
        `CREATE ROLE ${group}; GRANT SELECT ON user_logins_aliases TO ${group}; ALTER VIEW ${view} OWNER TO ${group}`,
      );

      expect(message).toMatch(`role ${group}: expected the right to SELECT on table user_logins, got none`);
    },
  );
});
