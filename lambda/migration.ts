import type { ResourceData } from './custom-resource.ts';
import { type Deadline, NO_DEADLINE } from './deadline.ts';
import { DatabaseFailure, LoginFailure } from './errors.ts';
import type { TableDeclaration } from './events/declaration.ts';
import type { Log } from './log.ts';
import { type Login, RESUME_TIME, withClient } from './postgres/connection.ts';
import type { RoleNames } from './postgres/roles.ts';
import { migrate } from './postgres/schema.ts';

export interface MigrationTarget {
  readonly login: Login;
  /** Brought up as well where they are given. */
  readonly roles?: RoleNames;
}

/**
 * The migration on a connection of its own.
 *
 * @returns where the database is
 * @throws VizardError with what a person can do about it
 */
export async function runMigration(
  declaration: TableDeclaration,
  { login, roles }: MigrationTarget,
  log: Log,
  deadline: Deadline = NO_DEADLINE,
): Promise<ResourceData> {
  try {
    const limits = { patience: RESUME_TIME, deadline };
    const created = await withClient(
      login,
      (client) => migrate(client, declaration, { roles, deadline }),
      limits,
    );
    for (const thing of created) log.info(`created ${thing}`, {});
    log.info(`${declaration.table} is up to date`, {});
    return placeOf(login);
  } catch (error) {
    if (!(error instanceof DatabaseFailure) || error instanceof LoginFailure) throw error;
    throw new DatabaseFailure(`the database was not migrated; ${adviceFor(error.code)}`, error.code);
  }
}

/** @param code a SQLSTATE or a system error code */
export function adviceFor(code: string): string {
  const isSqlState = /^[0-9FHPX][0-9A-Z]{4}$/.test(code);
  if (!isSqlState) {
    return 'check host, port and security groups, and on RDS that the certificate is one of its region';
  }
  if (code.startsWith('28')) return 'check that user and password are those of the database';
  return ADVICE[code] ?? 'the code is a SQLSTATE of PostgreSQL';
}

/** By SQLSTATE. */
const ADVICE: Readonly<Record<string, string>> = {
  '2BP01': 'a role of it has granted what it was granted to others; revoke that from it with CASCADE',
  '42501': 'log in as the owner of the schema, of the tables and of the roles that are there',
  '42P01': 'a table or view is gone since it was looked for; run the migration again',
  '42P16': 'the view that is there has other columns; drop it, and the migration makes it again',
  '55P03':
    'another session holds a lock on the table or view; find it in pg_locks, let it end, and run the migration again',
  '57014':
    'it did not end within the time of the invocation; see what it waited for, or make a large index by hand with CREATE UNIQUE INDEX CONCURRENTLY, and run it again',
};

/** Without user and password. */
function placeOf(login: Login): ResourceData {
  if (login.kind === 'tls') {
    return { Host: login.host, Port: String(login.port), Database: login.database };
  }
  const { hostname, port, pathname, username } = new URL(login.url);
  const database = decodeURIComponent(pathname.slice(1) || username);
  return { Host: hostname, Port: port || '5432', Database: database };
}
