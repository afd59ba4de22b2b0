import type { ClientBase } from 'pg';
import { VizardError } from '../../errors.ts';
import type { TableDeclaration } from '../../events/declaration.ts';
import { ROLE_KINDS, type RoleNames } from './permissions.ts';
import { grantPrivileges } from './privileges.ts';

/** Members of it log in by IAM authentication; RDS makes it. */
const IAM_ROLE = 'rds_iam';
/** PostgreSQL 14 and newer. */
const IDLE_TIMEOUT = 'idle_session_timeout';
/** An Aurora cluster can't pause while a connection is open, and a frozen environment doesn't close the one it keeps. */
const WRITER_IDLE_TIMEOUT = '10min';

/**
 * Brings the roles up and leaves them exactly the privileges that they need on the declaration's tables and views.
 * Idempotent. Runs in the transaction of the migration, after the table.
 *
 * @param schema where the table is, quoted
 * @returns names of the roles that were not there
 * @throws VizardError where the server has no IAM authentication, or a role has more rights by another way, or less
 */
export async function bringUpRoles(
  client: ClientBase,
  declaration: TableDeclaration,
  roles: RoleNames,
  schema: string,
): Promise<string[]> {
  await requireIamRole(client);
  const created: string[] = [];
  for (const kind of ROLE_KINDS) {
    const role = roles[kind];
    if (await createRole(client, role)) created.push(role);
    await checkAttributes(client, role);
    await joinIamRole(client, role);
    await findTablesIn(client, role, schema);
  }
  await limitIdleTime(client, roles.writer);
  await grantPrivileges(client, declaration, roles, schema);
  return created;
}

async function requireIamRole(client: ClientBase): Promise<void> {
  const { rows } = await client.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [IAM_ROLE]);
  if (rows.length === 0) {
    throw new VizardError(
      `role ${IAM_ROLE}: expected on a database on RDS, got none; a database elsewhere is given by its URL`,
    );
  }
}

async function createRole(client: ClientBase, role: string): Promise<boolean> {
  const { rows } = await client.query<{ login: boolean }>(
    'SELECT rolcanlogin AS login FROM pg_roles WHERE rolname = $1',
    [role],
  );
  if (rows[0]?.login === false) await client.query(`ALTER ROLE ${role} LOGIN`);
  if (rows.length > 0) return false;
  await unlessThere(client, `CREATE ROLE ${role} LOGIN`);
  return true;
}

/** Roles belong to the whole server, so a migration of another database may do the same at this moment. */
async function unlessThere(client: ClientBase, statement: string): Promise<void> {
  await client.query(
    `DO $$ BEGIN ${statement}; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$`,
  );
}

/** No list of privileges says what such a role may do. */
async function checkAttributes(client: ClientBase, role: string): Promise<void> {
  const { rows } = await client.query<{ attribute: string }>(
    `SELECT attribute FROM pg_roles, LATERAL (VALUES
       ('SUPERUSER', rolsuper), ('CREATEROLE', rolcreaterole), ('CREATEDB', rolcreatedb), ('BYPASSRLS', rolbypassrls),
       ('REPLICATION', rolreplication)) AS given (attribute, has)
     WHERE rolname = $1 AND has`,
    [role],
  );
  const [surplus] = rows;
  if (surplus === undefined) return;
  throw new VizardError(
    `role ${role}: expected no attribute ${surplus.attribute}, got it; run ALTER ROLE ${role} NO${surplus.attribute}`,
  );
}

/** Of other roles it would have the rights, at once or by SET ROLE. */
async function joinIamRole(client: ClientBase, role: string): Promise<void> {
  const { rows } = await client.query<{ name: string; quoted: string }>(
    `SELECT rolname AS name, quote_ident(rolname) AS quoted FROM pg_auth_members JOIN pg_roles r ON r.oid = roleid
     WHERE member = $1::regrole`,
    [role],
  );
  const other = rows.find(({ name }) => name !== IAM_ROLE);
  if (other !== undefined) {
    throw new VizardError(
      `role ${role}: expected to be a member of ${IAM_ROLE} only, got another; run REVOKE ${other.quoted} FROM ${role}`,
    );
  }
  if (rows.length === 0) await unlessThere(client, `GRANT ${IAM_ROLE} TO ${role}`);
}

/**
 * The ingest and analysts leave the schema out. Set for this database only, and whatever else its owner has set there
 * after the schema stays.
 */
async function findTablesIn(client: ClientBase, role: string, schema: string): Promise<void> {
  const setting = `search_path=${schema}`;
  const { rows } = await client.query<{ found: boolean; database: string }>(
    `SELECT quote_ident(datname) AS database, EXISTS (
       SELECT 1 FROM pg_db_role_setting, unnest(setconfig) AS setting
       WHERE setrole = $1::regrole AND setdatabase = pg_database.oid
         AND (setting = $2 OR starts_with(setting, $2 || ','))) AS found
     FROM pg_database WHERE datname = current_database()`,
    [role, setting],
  );
  const { found, database } = rows[0]!;
  if (!found) await client.query(`ALTER ROLE ${role} IN DATABASE ${database} SET search_path = ${schema}`);
}

/** Whatever somebody set there instead stays. */
async function limitIdleTime(client: ClientBase, writer: string): Promise<void> {
  const { rows } = await client.query<{ known: boolean; found: boolean }>(
    `SELECT EXISTS (SELECT 1 FROM pg_settings WHERE name = $2) AS known, EXISTS (
       SELECT 1 FROM pg_db_role_setting, unnest(setconfig) AS setting
       WHERE setrole = $1::regrole AND starts_with(setting, $2 || '=')
         AND setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))) AS found`,
    [writer, IDLE_TIMEOUT],
  );
  const { known, found } = rows[0]!;
  if (!known || found) return;
  await unlessThere(client, `ALTER ROLE ${writer} SET ${IDLE_TIMEOUT} = '${WRITER_IDLE_TIMEOUT}'`);
}
