import { adviceFor } from './advice.ts';
import type { ResourceData } from './custom-resource.ts';
import { type Deadline, NO_DEADLINE } from './deadline.ts';
import { DatabaseFailure, LoginFailure } from './errors.ts';
import type { TableDeclaration } from './events/declaration.ts';
import type { Log } from './log.ts';
import { logChanges } from './partition-keeper.ts';
import { type Login, RESUME_TIME, withClient } from './postgres/connection.ts';
import { requirePlainTable } from './postgres/partitions/catalog.ts';
import type { Day } from './postgres/partitions/days.ts';
import { DAYS_AHEAD, makePartitions } from './postgres/partitions/partitions.ts';
import type { RoleNames } from './postgres/roles/permissions.ts';
import { migrate } from './postgres/schema/schema.ts';

export interface MigrationTarget {
  readonly login: Login;
  /** Brought up as well where they are given. */
  readonly roles?: RoleNames;
  /** Has the table partitioned by date, with partitions from today on. @default - the table has to be a plain one */
  readonly partitions?: { readonly today: Day } | undefined;
  /** Makes the vault, for values that are sealed. @default false */
  readonly vault?: boolean;
}

/**
 * The migration on a connection of its own.
 *
 * @returns where the database is
 * @throws VizardError with what a person can do about it
 */
export async function runMigration(
  declaration: TableDeclaration,
  { login, roles, partitions, vault = false }: MigrationTarget,
  log: Log,
  deadline: Deadline = NO_DEADLINE,
): Promise<ResourceData> {
  try {
    const limits = { patience: RESUME_TIME, deadline };
    await withClient(
      login,
      async (client) => {
        if (partitions === undefined) await requirePlainTable(client, declaration);
        const onOtherView = (view: string) =>
          log.warn(
            `left view ${view} as somebody changed it; to have ours, drop it and run the migration again`,
            {},
          );
        const options = { roles, partitions, vault, deadline, onOtherView };
        const created = await migrate(client, declaration, options);
        for (const thing of created) log.info(`created ${thing}`, {});
        if (partitions === undefined) return;
        const days = { today: partitions.today, ahead: DAYS_AHEAD, deadline };
        await makePartitions(client, declaration, days, logChanges(log));
      },
      limits,
    );
    log.info(`${declaration.table} is up to date`, {});
    return placeOf(login);
  } catch (error) {
    if (!(error instanceof DatabaseFailure) || error instanceof LoginFailure) throw error;
    throw new DatabaseFailure(`the database was not migrated; ${adviceFor(error.code)}`, error.code);
  }
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
