import type { ClientBase } from 'pg';
import { VizardError } from '../../errors.ts';
import type { Privilege } from './permissions.ts';

/** A privilege that a role is to have. */
export interface Allowed {
  readonly role: string;
  readonly relation: string;
  readonly privilege: Privilege;
  /** null is all of them. */
  readonly columns: readonly string[] | null;
}

/** All that some roles are to have on some relations. The search_path is their schema. */
export interface Granted {
  readonly roles: readonly string[];
  readonly relations: readonly string[];
  readonly allowed: readonly Allowed[];
}

/** `relation`: what the checks are about, with `object` as the statement names it that a person is told to run. */
const RELATIONS = `relation AS (
  SELECT oid, relkind, relowner, CASE relkind WHEN 'v' THEN 'view ' ELSE 'table ' END || oid::regclass AS object
  FROM unnest($2::regclass[]) WITH ORDINALITY AS given (id, number) JOIN pg_class ON oid = id ORDER BY number)`;
const ALLOWED = `allowed AS (
  SELECT role, oid, object, privilege, columns
  FROM jsonb_to_recordset($3::jsonb) AS a (role text, relation text, privilege text, columns text[])
  JOIN relation ON oid = a.relation::regclass)`;

/** Whether the role has it on some column at least. */
const hasAny = (role: string) => `CASE WHEN privilege IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES')
  THEN has_any_column_privilege(${role}, oid, privilege) ELSE has_table_privilege(${role}, oid, privilege) END`;

/**
 * An owner gives itself back whatever is taken from it.
 *
 * @throws VizardError where a role is one
 */
export async function checkOwners(client: ClientBase, { roles, relations }: Granted): Promise<void> {
  const { rows } = await client.query<{ role: string; object: string }>(
    `WITH ${RELATIONS}
     SELECT pg_get_userbyid(owner) AS role, object FROM (
       SELECT relowner, object FROM relation
       UNION ALL
       SELECT nspowner, 'schema ' || quote_ident(nspname) FROM pg_namespace WHERE nspname = current_schema()
       UNION ALL
       SELECT datdba, 'database ' || quote_ident(datname) FROM pg_database WHERE datname = current_database()
     ) AS owned (owner, object)
     WHERE pg_get_userbyid(owner) = ANY ($1)`,
    [roles, relations],
  );
  const [owned] = rows;
  if (owned === undefined) return;
  const { role, object } = owned;
  throw new VizardError(
    `role ${role}: expected not to own ${object}, got its owner; run ALTER ${object} OWNER TO another role`,
  );
}

/**
 * GRANT only warns where the administrator has the right but may not pass it on.
 *
 * @throws VizardError where a role lacks something
 */
export async function checkNeeded(client: ClientBase, { roles, relations, allowed }: Granted): Promise<void> {
  const { rows } = await client.query<{ role: string; privilege: string; object: string }>(
    `WITH ${RELATIONS}, ${ALLOWED}
     SELECT role, privilege, object
     FROM (
       SELECT role, 'CONNECT', 'database ' || quote_ident(current_database()),
              has_database_privilege(role, current_database(), 'CONNECT')
       FROM unnest($1::name[]) AS role
       UNION ALL
       SELECT role, 'USAGE', 'schema ' || quote_ident(current_schema()), has_schema_privilege(role, current_schema(), 'USAGE')
       FROM unnest($1::name[]) AS role
       UNION ALL
       SELECT role, privilege, object, has_table_privilege(role, oid, privilege) FROM allowed WHERE columns IS NULL
       UNION ALL
       SELECT role, privilege || ' (' || name || ')', object, has_column_privilege(role, oid, name, privilege)
       FROM allowed, unnest(columns) AS name
       UNION ALL
       -- A view reads with the rights of its owner.
       SELECT pg_get_userbyid(v.relowner), 'SELECT', source.object, has_table_privilege(v.relowner, source.oid, 'SELECT')
       FROM relation v JOIN pg_rewrite r ON ev_class = v.oid
       JOIN pg_depend ON classid = 'pg_rewrite'::regclass AND objid = r.oid AND refclassid = 'pg_class'::regclass
       JOIN relation source ON source.oid = refobjid AND source.oid <> v.oid
       WHERE v.relkind = 'v'
     ) AS needed (role, privilege, object, has)
     WHERE NOT has`,
    [roles, relations, JSON.stringify(allowed)],
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

/**
 * What PUBLIC was granted, these have as well; a writer that reads tokens is not what was asked for.
 *
 * @throws VizardError where a role may do more
 */
export async function checkSurplus(
  client: ClientBase,
  { roles, relations, allowed }: Granted,
): Promise<void> {
  const { rows } = await client.query<Surplus>(
    `WITH ${RELATIONS}, ${ALLOWED},
     -- All that this server knows: an owner has them all.
     known AS (SELECT DISTINCT privilege_type AS privilege FROM aclexplode(acldefault('r', 10)))
     SELECT given.role, privilege, object, ${hasAny(`'public'`)} AS everybody
     FROM relation, unnest($1::name[]) AS given (role), known
     WHERE NOT EXISTS (SELECT FROM allowed a WHERE (a.role, a.oid, a.privilege) = (given.role::text, relation.oid, known.privilege))
       AND ${hasAny('given.role')}
     UNION ALL
     SELECT role, privilege || ' (' || attname || ')', object, has_column_privilege('public', oid, attnum, privilege)
     FROM allowed JOIN pg_attribute ON attrelid = oid AND attnum > 0 AND NOT attisdropped
     -- Not every privilege is one for columns.
     WHERE CASE WHEN attname <> ALL (columns) THEN has_column_privilege(role, oid, attnum, privilege) END
     UNION ALL
     SELECT role, 'CREATE', 'schema ' || quote_ident(current_schema()),
            has_schema_privilege('public', current_schema(), 'CREATE')
     FROM unnest($1::name[]) AS role
     WHERE has_schema_privilege(role, current_schema(), 'CREATE')`,
    [roles, relations, JSON.stringify(allowed)],
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

/**
 * Whoever may change a row of the trail, or have a trigger change it, can make it say what he likes.
 *
 * @throws VizardError where anybody but its owner may do more than read it and append to it
 */
export async function checkTrail(client: ClientBase, trail: string): Promise<void> {
  const { rows } = await client.query<{ role: string; privilege: string }>(
    `SELECT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END AS role,
            privilege_type AS privilege
     FROM pg_class, LATERAL (
       SELECT grantee, privilege_type FROM aclexplode(relacl)
       UNION ALL
       SELECT grantee, privilege_type FROM pg_attribute, aclexplode(attacl) WHERE attrelid = pg_class.oid
     ) AS granted
     WHERE oid = $1::regclass AND grantee <> relowner AND privilege_type NOT IN ('SELECT', 'INSERT')`,
    [trail],
  );
  const [surplus] = rows;
  if (surplus === undefined) return;
  const { role, privilege } = surplus;
  throw new VizardError(
    `table ${trail}: expected that nobody but its owner changes rows, got ${privilege} of ${role}; run REVOKE ${privilege} ON ${trail} FROM ${role}`,
  );
}
