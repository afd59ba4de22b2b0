import type { ClientBase } from 'pg';
import { VizardError } from '../errors.ts';
import { DATE_COLUMN, ID_COLUMN, type TableDeclaration } from '../events/declaration.ts';
import { keysTable } from './keys-table.ts';
import type { RoleNames } from './roles.ts';

const KEY = [DATE_COLUMN, ID_COLUMN];

/**
 * Leaves the roles exactly the privileges that they need on schema, tables and view, and takes none from anybody else.
 * The search_path is the schema.
 *
 * @param schema quoted
 * @throws VizardError where a role has more by another way, or less because the administrator may not grant it
 */
export async function grantPrivileges(
  client: ClientBase,
  declaration: TableDeclaration,
  roles: RoleNames,
  schema: string,
): Promise<void> {
  await checkOwners(client, declaration, roles);
  for (const statement of statements(declaration, roles, schema)) await client.query(statement);
  await checkNeeded(client, declaration, roles);
  await checkSurplus(client, declaration, roles);
}

/** Whatever the roles had is taken first; nobody sees the state between. */
function statements(declaration: TableDeclaration, { writer, reader }: RoleNames, schema: string): string[] {
  const roles = `${writer}, ${reader}`;
  const { table, view, keys } = relations(declaration);
  return [
    `REVOKE ALL ON SCHEMA ${schema} FROM ${roles}`,
    `GRANT USAGE ON SCHEMA ${schema} TO ${roles}`,
    `REVOKE ALL ON TABLE ${table}, ${view}, ${keys} FROM ${roles}`,
    `GRANT INSERT, SELECT (${KEY.join(', ')}) ON TABLE ${table} TO ${writer}`,
    `GRANT INSERT, SELECT ON TABLE ${keys} TO ${writer}`,
    `GRANT SELECT ON TABLE ${table}, ${view} TO ${reader}`,
  ];
}

/** What the privileges are about. */
function relations(declaration: TableDeclaration) {
  return { table: declaration.table, view: declaration.repeats.view, keys: keysTable(declaration) };
}

/** An owner gives itself back whatever is taken from it. */
async function checkOwners(
  client: ClientBase,
  declaration: TableDeclaration,
  { writer, reader }: RoleNames,
): Promise<void> {
  const { table, view, keys } = relations(declaration);
  const { rows } = await client.query<{ role: string; object: string }>(
    `SELECT pg_get_userbyid(owner) AS role, object FROM (
       SELECT relowner, CASE relkind WHEN 'v' THEN 'view ' ELSE 'table ' END || oid::regclass
       FROM pg_class WHERE oid IN ($3::regclass, $4::regclass, $5::regclass)
       UNION ALL
       SELECT nspowner, 'schema ' || quote_ident(nspname) FROM pg_namespace WHERE nspname = current_schema()
       UNION ALL
       SELECT datdba, 'database ' || quote_ident(datname) FROM pg_database WHERE datname = current_database()
     ) AS owned (owner, object)
     WHERE pg_get_userbyid(owner) IN ($1, $2)`,
    [writer, reader, table, view, keys],
  );
  const [owned] = rows;
  if (owned === undefined) return;
  const { role, object } = owned;
  throw new VizardError(
    `role ${role}: expected not to own ${object}, got its owner; run ALTER ${object} OWNER TO another role`,
  );
}

/** GRANT only warns where the administrator has the right but may not pass it on. */
async function checkNeeded(
  client: ClientBase,
  declaration: TableDeclaration,
  { writer, reader }: RoleNames,
): Promise<void> {
  const { table, view, keys } = relations(declaration);
  const { rows } = await client.query<{ role: string; privilege: string; object: string }>(
    `WITH given AS (SELECT $1::name AS writer, $2::name AS reader, $3::regclass AS events, $4::regclass AS view,
                           $5::regclass AS keys)
     SELECT role, privilege, object
     FROM given, LATERAL (
       SELECT role, 'CONNECT', 'database ' || quote_ident(current_database()),
              has_database_privilege(role, current_database(), 'CONNECT')
       FROM unnest(ARRAY[writer, reader]) AS role
       UNION ALL
       SELECT role, 'USAGE', 'schema ' || quote_ident(current_schema()), has_schema_privilege(role, current_schema(), 'USAGE')
       FROM unnest(ARRAY[writer, reader]) AS role
       UNION ALL
       SELECT writer, 'INSERT', 'table ' || events, has_table_privilege(writer, events, 'INSERT')
       UNION ALL
       SELECT writer, 'SELECT (' || key || ')', 'table ' || events, has_column_privilege(writer, events, key, 'SELECT')
       FROM unnest($6::text[]) AS key
       UNION ALL
       SELECT writer, privilege, 'table ' || keys, has_table_privilege(writer, keys, privilege)
       FROM unnest(ARRAY['INSERT', 'SELECT']) AS privilege
       UNION ALL
       SELECT reader, 'SELECT', 'table ' || events, has_table_privilege(reader, events, 'SELECT')
       UNION ALL
       SELECT reader, 'SELECT', 'view ' || view, has_table_privilege(reader, view, 'SELECT')
       UNION ALL
       -- A view reads with the rights of its owner.
       SELECT pg_get_userbyid(relowner), 'SELECT', 'table ' || events, has_table_privilege(relowner, events, 'SELECT')
       FROM pg_class WHERE oid = view
     ) AS needed (role, privilege, object, has)
     WHERE NOT has`,
    [writer, reader, table, view, keys, KEY],
  );
  const [missing] = rows;
  if (missing === undefined) return;
  throw new VizardError(
    `role ${missing.role}: expected the right to ${missing.privilege} on ${missing.object}, got none; log in as the owner of it, or have its owner grant it`,
  );
}

interface Surplus {
  readonly role: string;
  readonly privilege: string;
  readonly object: string;
  /** Everybody has it. */
  readonly everybody: boolean;
}

/** What PUBLIC was granted, these have as well; a writer that reads tokens is not what was asked for. */
async function checkSurplus(
  client: ClientBase,
  declaration: TableDeclaration,
  { writer, reader }: RoleNames,
): Promise<void> {
  const { table, view, keys } = relations(declaration);
  const { rows } = await client.query<Surplus>(
    `WITH given AS (SELECT $1::name AS writer, $2::name AS reader, $3::regclass AS events, $4::regclass AS view,
                           $5::regclass AS keys)
     SELECT role, privilege, kind || ' ' || object AS object,
            CASE WHEN privilege IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES')
                 THEN has_any_column_privilege('public', object, privilege)
                 ELSE has_table_privilege('public', object, privilege) END AS everybody
     FROM given, LATERAL (VALUES
            (writer, 'table', events, ARRAY['INSERT', 'SELECT']), (reader, 'table', events, ARRAY['SELECT']),
            (writer, 'view', view, ARRAY[]::text[]), (reader, 'view', view, ARRAY['SELECT']),
            (writer, 'table', keys, ARRAY['INSERT', 'SELECT']), (reader, 'table', keys, ARRAY[]::text[])
          ) AS expected (role, kind, object, allowed),
          -- All that this server knows: an owner has them all.
          (SELECT DISTINCT privilege_type AS privilege FROM aclexplode(acldefault('r', 10))) AS known
     WHERE privilege <> ALL (allowed)
       AND CASE WHEN privilege IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES')
                THEN has_any_column_privilege(role, object, privilege)
                ELSE has_table_privilege(role, object, privilege) END
     UNION ALL
     SELECT writer, 'SELECT (' || attname || ')', 'table ' || events, has_column_privilege('public', events, attnum, 'SELECT')
     FROM given JOIN pg_attribute ON attrelid = events AND attnum > 0 AND NOT attisdropped AND attname <> ALL ($6)
     WHERE has_column_privilege(writer, events, attnum, 'SELECT')
     UNION ALL
     SELECT role, 'CREATE', 'schema ' || quote_ident(current_schema()),
            has_schema_privilege('public', current_schema(), 'CREATE')
     FROM given, unnest(ARRAY[writer, reader]) AS role
     WHERE has_schema_privilege(role, current_schema(), 'CREATE')`,
    [writer, reader, table, view, keys, KEY],
  );
  const [surplus] = rows;
  if (surplus !== undefined) throw new VizardError(describe(surplus));
}

function describe({ role, privilege, object, everybody }: Surplus): string {
  const expected = `role ${role}: expected no right to ${privilege} on ${object}`;
  if (!everybody) return `${expected}, got one that another role granted; revoke it as that role`;
  const since = privilege === 'CREATE' ? ', as in databases that began before PostgreSQL 15' : '';
  // Without the columns, because it may be the whole table; a view counts as a table there.
  const what = `${privilege.replace(/ \(.*/, '')} ON ${object.replace(/^view/, 'table')}`;
  return `${expected}, got one because PUBLIC has it${since}; run REVOKE ${what} FROM PUBLIC`;
}
