import type { ClientBase } from 'pg';
import { VizardError } from '../errors.ts';
import { DATE_COLUMN, ID_COLUMN, type TableDeclaration } from '../events/declaration.ts';

/** The roles of a database on RDS. */
export interface RoleNames {
  /** Inserts, and reads of the table only what ON CONFLICT has to look at. */
  readonly writer: string;
  /** Reads the table and the view of repeats. */
  readonly reader: string;
}

/** Members of it log in by IAM authentication; RDS makes it. */
const IAM_ROLE = 'rds_iam';
const KEY = `${DATE_COLUMN}, ${ID_COLUMN}`;

/**
 * Brings the roles up and leaves them exactly the privileges that they need on the declaration's table and view.
 * Idempotent. Runs in the transaction of the migration, after the table.
 *
 * @returns names of the roles that were not there
 * @throws VizardError where the server has no IAM authentication, or a role has more rights by another way
 */
export async function bringUpRoles(
  client: ClientBase,
  declaration: TableDeclaration,
  { writer, reader }: RoleNames,
): Promise<string[]> {
  await requireIamRole(client);
  const created: string[] = [];
  for (const role of [writer, reader]) {
    if (await createRole(client, role)) created.push(role);
    if (!(await isMember(client, role))) await unlessThere(client, `GRANT ${IAM_ROLE} TO ${role}`);
  }
  const schema = await currentSchema(client);
  for (const statement of privileges(declaration, schema, { writer, reader })) await client.query(statement);
  await checkPrivileges(client, declaration, { writer, reader });
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

async function isMember(client: ClientBase, role: string): Promise<boolean> {
  const { rows } = await client.query(
    'SELECT 1 FROM pg_auth_members WHERE roleid = $1::regrole AND member = $2::regrole',
    [IAM_ROLE, role],
  );
  return rows.length > 0;
}

async function currentSchema(client: ClientBase): Promise<string> {
  const { rows } = await client.query<{ schema: string }>('SELECT quote_ident(current_schema()) AS schema');
  return rows[0]!.schema;
}

/** Whatever the roles had is taken first; nobody sees the state between. */
function privileges(
  { table, repeats: { view } }: TableDeclaration,
  schema: string,
  { writer, reader }: RoleNames,
): string[] {
  const roles = `${writer}, ${reader}`;
  return [
    // Before PostgreSQL 15 everybody may create tables there.
    `REVOKE CREATE ON SCHEMA ${schema} FROM PUBLIC`,
    `REVOKE ALL ON SCHEMA ${schema} FROM ${roles}`,
    `GRANT USAGE ON SCHEMA ${schema} TO ${roles}`,
    `REVOKE ALL ON TABLE ${table}, ${view} FROM ${roles}`,
    `GRANT INSERT, SELECT (${KEY}) ON TABLE ${table} TO ${writer}`,
    `GRANT SELECT ON TABLE ${table}, ${view} TO ${reader}`,
  ];
}

/** What PUBLIC or another role was granted, these have as well; a writer that reads tokens is not what was asked for. */
async function checkPrivileges(
  client: ClientBase,
  { table, repeats: { view } }: TableDeclaration,
  { writer, reader }: RoleNames,
): Promise<void> {
  const { rows } = await client.query<{ role: string; privilege: string }>(
    `WITH given AS (SELECT $1::name AS writer, $2::name AS reader, $3::regclass AS events, $4::regclass AS view)
     SELECT writer AS role, 'SELECT (' || attname || ')' AS privilege
     FROM given JOIN pg_attribute ON attrelid = events AND attnum > 0 AND NOT attisdropped AND attname <> ALL ($5)
     WHERE has_column_privilege(writer, events, attnum, 'SELECT')
     UNION ALL
     SELECT writer, 'SELECT of the view' FROM given WHERE has_table_privilege(writer, view, 'SELECT')
     UNION ALL
     SELECT reader, 'INSERT' FROM given WHERE has_any_column_privilege(reader, events, 'INSERT')
     UNION ALL
     SELECT role, 'UPDATE' FROM given, unnest(ARRAY[writer, reader]) AS role
     WHERE has_any_column_privilege(role, events, 'UPDATE')
     UNION ALL
     SELECT role, privilege FROM given, unnest(ARRAY[writer, reader]) AS role, unnest(ARRAY['DELETE', 'TRUNCATE']) AS privilege
     WHERE has_table_privilege(role, events, privilege)
     UNION ALL
     SELECT role, 'CREATE' FROM given, unnest(ARRAY[writer, reader]) AS role
     WHERE has_schema_privilege(role, current_schema(), 'CREATE')`,
    [writer, reader, table, view, [DATE_COLUMN, ID_COLUMN]],
  );
  const [surplus] = rows;
  if (surplus === undefined) return;
  throw new VizardError(
    `role ${surplus.role}: expected no right to ${surplus.privilege} on ${table}, got one through PUBLIC or another role; revoke it`,
  );
}
