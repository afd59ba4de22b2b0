import { VizardError } from '../../errors.ts';
import type { Run } from './change.ts';

/** Takes from a table that was just made what default privileges have given to everybody but its owner. */
export async function takeDefaultGrants(run: Run, table: string): Promise<void> {
  const { rows } = await run(
    `SELECT string_agg(DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END, ', ') AS grantees
     FROM pg_class, aclexplode(relacl) WHERE oid = $1::regclass AND grantee <> relowner`,
    [table],
  );
  const { grantees } = rows[0] as { grantees: string | null };
  if (grantees !== null) await run(`REVOKE ALL ON TABLE ${table} FROM ${grantees}`);
}

/**
 * Gives a table that was just made to the owner of another, and to nobody else a right on it: whoever may read the one is to
 * read the other through it.
 *
 * @throws VizardError where it can't be given to that owner
 */
export async function belongOnlyToOwnerOf(run: Run, table: string, other: string): Promise<void> {
  await takeDefaultGrants(run, table);
  const { rows } = await run(
    `SELECT quote_ident(pg_get_userbyid(other.relowner)) AS owner
     FROM pg_class made, pg_class other
     WHERE made.oid = $1::regclass AND other.oid = $2::regclass AND other.relowner <> made.relowner`,
    [table, other],
  );
  const [{ owner } = { owner: null }] = rows as { owner: string }[];
  if (owner === null) return;
  await requireOwner(run, other);
  await run(`ALTER TABLE ${table} OWNER TO ${owner}`);
}

/**
 * Lets views read a table with their owners' rights: one that is older than the table may be somebody else's. What the
 * administrator may not grant, as somebody else has made the table, is left.
 */
export async function letViewsRead(run: Run, views: readonly string[], table: string): Promise<void> {
  const { rows } = await run(
    `SELECT DISTINCT quote_ident(pg_get_userbyid(views.relowner)) AS owner FROM pg_class views, pg_class read
     WHERE views.oid = ANY ($1::regclass[]) AND read.oid = $2::regclass AND pg_has_role(read.relowner, 'USAGE')
       AND NOT has_table_privilege(views.relowner, read.oid, 'SELECT')`,
    [views, table],
  );
  for (const { owner } of rows as { owner: string }[]) {
    await run(`GRANT SELECT ON TABLE ${table} TO ${owner}`);
  }
}

/**
 * @throws VizardError where the administrator may not change the table and give its owner others, as
 *   https://www.postgresql.org/docs/current/sql-altertable.html has it
 */
export async function requireOwner(run: Run, table: string): Promise<void> {
  const { rows } = await run(
    `SELECT quote_ident(pg_get_userbyid(relowner)) AS owner, quote_ident(current_user) AS administrator,
            quote_ident(nspname) AS schema
     FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
     WHERE pg_class.oid = $1::regclass AND pg_get_userbyid(relowner) <> current_user
       AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
       AND NOT (pg_has_role(relowner, 'USAGE') AND has_schema_privilege(relowner, n.oid, 'CREATE')
                -- SET is known from PostgreSQL 16 on.
                AND pg_has_role(relowner, CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END))`,
    [table],
  );
  const [other] = rows as { owner: string; administrator: string; schema: string }[];
  if (other === undefined) return;
  const { owner, administrator, schema } = other;
  throw new VizardError(
    `table ${table}: expected an owner to whom ${administrator} can give partitions, got ${owner}; run GRANT ${owner} TO ${administrator} and GRANT CREATE ON SCHEMA ${schema} TO ${owner}`,
  );
}

/** Whoever might use the one table may use the other as before, and no longer the one. */
export async function moveGrants(run: Run, from: string, to: string): Promise<void> {
  const { rows } = await run(
    `WITH granted AS (
       SELECT a.*, '' AS columns FROM pg_class, aclexplode(relacl) a WHERE oid = $1::regclass AND grantee <> relowner
       UNION ALL
       SELECT a.*, format(' (%I)', attname) FROM pg_attribute, aclexplode(attacl) a WHERE attrelid = $1::regclass)
     SELECT format('GRANT %s%s ON TABLE %s TO %s%s', privilege_type, columns, $2::text, role,
                   CASE WHEN is_grantable THEN ' WITH GRANT OPTION' END) AS grant,
            format('REVOKE %s%s ON TABLE %s FROM %s CASCADE', privilege_type, columns, $1::text, role) AS revoke
     FROM granted, LATERAL (SELECT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END) AS r (role)`,
    [from, to],
  );
  for (const { grant, revoke } of rows as { grant: string; revoke: string }[]) {
    await run(`${grant}; ${revoke}`);
  }
}
