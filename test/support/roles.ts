import { randomBytes } from 'node:crypto';
import type { RoleNames } from '../../lambda/postgres/roles/permissions.ts';
import type { TestDatabase } from './database.ts';

/** Roles belong to the whole server, and files of tests run at once on one. */
export function uniqueRoles(): RoleNames {
  const suffix = randomBytes(6).toString('hex');
  return {
    writer: `writer_${suffix}`,
    reader: `reader_${suffix}`,
    recovery: `recovery_${suffix}`,
    custodian: `custodian_${suffix}`,
  };
}

/** What the roles were granted, in all of the database. */
export async function grants(database: TestDatabase, roles: RoleNames): Promise<string[]> {
  const rows = await database.rows<{ grant: string }>(
    `SELECT grantee || ': ' || privilege_type || ' ' || table_name AS grant
     FROM information_schema.role_table_grants WHERE grantee = ANY ($1)
     UNION ALL
     SELECT grantee || ': ' || privilege_type || ' ' || table_name || '.' || column_name
     FROM information_schema.role_column_grants c WHERE grantee = ANY ($1) AND NOT EXISTS (
       SELECT 1 FROM information_schema.role_table_grants t
       WHERE (t.grantee, t.table_name, t.privilege_type) = (c.grantee, c.table_name, c.privilege_type))
     UNION ALL
     SELECT grantee::regrole || ': ' || privilege_type || ' schema ' || nspname
     FROM pg_namespace, aclexplode(nspacl) WHERE grantee <> 0 AND grantee::regrole::text = ANY ($1)
     UNION ALL
     SELECT rolname || ': ' || roleid::regrole FROM pg_roles JOIN pg_auth_members ON member = pg_roles.oid
     WHERE rolname = ANY ($1)
     ORDER BY 1`,
    [Object.values(roles)],
  );
  return rows.map(({ grant }) => grant);
}

/** What is set for the role, in this database or in all. */
export async function settings(database: TestDatabase, role: string): Promise<string[]> {
  const rows = await database.rows<{ setting: string }>(
    'SELECT unnest(setconfig) AS setting FROM pg_db_role_setting WHERE setrole = $1::regrole',
    [role],
  );
  return rows.map(({ setting }) => setting);
}
