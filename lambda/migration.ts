import type { ResourceData } from './custom-resource.ts';
import { DatabaseFailure } from './errors.ts';
import type { TableDeclaration } from './events/declaration.ts';
import type { Log } from './log.ts';
import { type Login, withClient } from './postgres/connection.ts';
import type { RoleNames } from './postgres/roles.ts';
import { migrate } from './postgres/schema.ts';

/** Longer than an Aurora cluster takes to resume from zero capacity, 15-30 s. Milliseconds. */
const PATIENCE = 60_000;

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
): Promise<ResourceData> {
  try {
    const created = await withClient(login, (client) => migrate(client, declaration, roles), PATIENCE);
    for (const thing of created) log.info(`created ${thing}`, {});
    log.info(`${declaration.table} is up to date`, {});
    return placeOf(login);
  } catch (error) {
    if (!(error instanceof DatabaseFailure)) throw error;
    throw new DatabaseFailure(`the database was not migrated; ${adviceFor(error.code)}`, error.code);
  }
}

function adviceFor(code: string): string {
  if (!/^[0-9FHPX][0-9A-Z]{4}$/.test(code)) {
    return 'check host, port and security groups, and on RDS that the certificate is one of its region';
  }
  if (code.startsWith('28')) return 'check that user and password are those of the database';
  if (code === '42501') return 'log in as the owner of the schema and of the tables that are there';
  return 'the code is a SQLSTATE of PostgreSQL';
}

/** Without user and password. */
function placeOf(login: Login): ResourceData {
  if (login.kind === 'tls') {
    return { Host: login.host, Port: String(login.port), Database: login.database };
  }
  const { hostname, port, pathname, username } = new URL(login.url);
  const database = decodeURIComponent(pathname.slice(1) || username);
  return { Host: hostname, Port: port || '5432', Database: database };
}
