import type { ClientBase } from 'pg';
import type { TableDeclaration } from '../../events/declaration.ts';
import { type Permissions, permissions, type RoleNames } from './permissions.ts';
import {
  type Allowed,
  checkNeeded,
  checkOwners,
  checkSurplus,
  checkTrail,
  type Granted,
} from './privilege-checks.ts';

/**
 * Leaves the roles exactly the privileges of permissions.ts, and takes none from anybody else. The search_path is the
 * schema.
 *
 * @param schema quoted
 * @throws VizardError where a role has more by another way, or less because the administrator may not grant it, or
 *   somebody else may change the trail
 */
export async function grantPrivileges(
  client: ClientBase,
  declaration: TableDeclaration,
  roles: RoleNames,
  schema: string,
): Promise<void> {
  const matrix = await present(client, permissions(declaration));
  const granted: Granted = {
    roles: Object.values(roles),
    relations: matrix.map(({ relation }) => relation),
    allowed: matrix.flatMap((permission) => allowedOf(permission, roles)),
  };
  await checkOwners(client, granted);
  for (const statement of statements(granted, schema)) await client.query(statement);
  await checkNeeded(client, granted);
  await checkSurplus(client, granted);
  for (const { relation, appendOnly } of matrix) if (appendOnly) await checkTrail(client, relation);
}

/** What there is of it in this database: a vault, say, only where recovery is sealed. */
async function present(client: ClientBase, all: readonly Permissions[]): Promise<Permissions[]> {
  const { rows } = await client.query<{ relation: string }>(
    'SELECT relation FROM unnest($1::text[]) AS relation WHERE to_regclass(relation) IS NOT NULL',
    [all.map(({ relation }) => relation)],
  );
  return all.filter(({ relation }) => rows.some((row) => row.relation === relation));
}

function allowedOf({ relation, roles }: Permissions, names: RoleNames): Allowed[] {
  return entries(roles).flatMap(([kind, privileges]) =>
    entries(privileges).map(([privilege, columns]) => ({
      role: names[kind],
      relation,
      privilege,
      columns: columns === 'all' ? null : columns,
    })),
  );
}

function entries<K extends string, V>(record: Readonly<Partial<Record<K, V>>>): [K, V][] {
  return Object.entries(record) as [K, V][];
}

/** Whatever the roles had is taken first; nobody sees the state between. */
function statements({ roles, relations, allowed }: Granted, schema: string): string[] {
  const all = roles.join(', ');
  return [
    `REVOKE ALL ON SCHEMA ${schema} FROM ${all}`,
    `GRANT USAGE ON SCHEMA ${schema} TO ${all}`,
    `REVOKE ALL ON TABLE ${relations.join(', ')} FROM ${all}`,
    ...allowed.map(
      ({ role, relation, privilege, columns }) =>
        `GRANT ${privilege}${columns === null ? '' : ` (${columns.join(', ')})`} ON TABLE ${relation} TO ${role}`,
    ),
  ];
}
