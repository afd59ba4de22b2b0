import { parseDatabaseUrl } from '../../lambda/config.ts';
import { DatabaseFailure, VizardError } from '../../lambda/errors.ts';
import { ENV } from '../../lambda/names.ts';
import { ALL_ROWS, type DatabaseClient, withClient } from '../../lambda/postgres/connection.ts';

/** How a command is told which database is meant. */
export interface DatabaseOptions {
  readonly databaseUrl?: string | undefined;
  readonly dataDir?: string | undefined;
}

/** A database; `stop` ends what was started for it. */
export interface FoundDatabase {
  readonly url: string;
  stop?(): Promise<void>;
}

/**
 * The database that the options name: by URL, of a running instance or a kept one; else that of the instance which runs
 * in this working directory, else DATABASE_URL.
 *
 * @throws VizardError when there is none
 */
export async function findDatabase({ databaseUrl, dataDir }: DatabaseOptions): Promise<FoundDatabase> {
  if (databaseUrl !== undefined && dataDir !== undefined)
    throw new VizardError(
      '--database-url and --data-dir exclude each other: each names a database; give one of them',
    );
  if (databaseUrl !== undefined) return { url: databaseUrl };
  // The embedded servers take long to load, and an existing database has no use for them.
  const { databaseAnswers, isDatabaseKept, readInstance } = await import('./instance.ts');
  const running = readInstance(dataDir);
  if (running !== undefined && (await databaseAnswers(running))) return { url: running.databaseUrl };
  if (dataDir !== undefined) {
    if (isDatabaseKept(dataDir)) {
      const { startPostgres } = await import('./postgres.ts');
      return startPostgres({ directory: dataDir });
    }
    throw new VizardError(
      `no database is kept in ${dataDir}; start an instance there with \`npm start -- --data-dir ${dataDir}\``,
    );
  }
  const named = process.env[ENV.databaseUrl];
  if (named) return { url: parseDatabaseUrl(named, ENV.databaseUrl) };
  throw new VizardError(
    `no running instance found; start one with \`npm start -- --follow\`, or name --data-dir or --database-url, or set ${ENV.databaseUrl}`,
  );
}

/**
 * Runs work on a connection to the database that the options name.
 *
 * @param prepare is done first, before anything is set for the session
 * @throws VizardError with the code of what the database answered, never its message, which may quote a row
 */
export async function withDatabase<T>(
  options: DatabaseOptions,
  work: (client: DatabaseClient) => Promise<T>,
  prepare: (client: DatabaseClient) => Promise<void> = async () => {},
): Promise<T> {
  const database = await findDatabase(options);
  try {
    return await withClient({ kind: 'url', url: database.url }, async (client) => {
      await prepare(client);
      await client.query(ALL_ROWS);
      return work(client);
    });
  } catch (error) {
    if (!(error instanceof DatabaseFailure)) throw error;
    const advice = databaseAdvice(error.code) ?? `check --database-url or ${ENV.databaseUrl}`;
    throw new VizardError(`the database cannot be used (${error.code}); ${advice}`);
  } finally {
    await database.stop?.();
  }
}

/** What to do about a code of the database, where that is known. */
export function databaseAdvice(code: string): string | undefined {
  return ADVICE[code];
}

/** By SQLSTATE. */
const ADVICE: Readonly<Record<string, string>> = {
  '42P01': 'a table is missing: run the migration, by `vizard run` or the deployment of the stack',
  '42501':
    'log in as a role that may do this, vizard_recovery or vizard_custodian, and from which no row level security hides rows',
  '25006': 'this server only reads; name the one that writes',
  '0A000': 'this server only reads, or is too old; name the one that writes',
};
