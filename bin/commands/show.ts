import { DatabaseFailure, VizardError } from '../../lambda/errors.ts';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { databaseAnswers, isDatabaseKept, readInstance } from '../local/instance.ts';
import { startPostgres } from '../local/postgres.ts';
import { readTable, renderTable } from '../local/view.ts';

export interface ShowOptions {
  readonly databaseUrl?: string;
  readonly dataDir?: string;
  readonly limit: number;
  readonly json: boolean;
}

/** `vizard show`: the latest rows and what repeats, of an existing database, a running instance or a kept one. */
export async function show(options: ShowOptions): Promise<number> {
  const database = await findDatabase(options);
  try {
    const view = await readTable(database.url, loginEvents, { rows: options.limit, repeats: options.limit });
    process.stdout.write(`${options.json ? JSON.stringify(view) : renderTable(view, loginEvents)}\n`);
    return 0;
  } catch (error) {
    if (!(error instanceof DatabaseFailure)) throw error;
    throw new VizardError(`the database cannot be read (${error.code}); check --database-url`);
  } finally {
    await database.stop?.();
  }
}

async function findDatabase({
  databaseUrl,
  dataDir,
}: ShowOptions): Promise<{ url: string; stop?: () => Promise<void> }> {
  if (databaseUrl !== undefined && dataDir !== undefined)
    throw new VizardError(
      '--database-url and --data-dir exclude each other: each names a database; give one of them',
    );
  if (databaseUrl !== undefined) return { url: databaseUrl };
  const running = readInstance(dataDir);
  if (running !== undefined && (await databaseAnswers(running))) return { url: running.databaseUrl };
  if (dataDir !== undefined && isDatabaseKept(dataDir)) return startPostgres({ directory: dataDir });
  throw new VizardError(
    dataDir === undefined
      ? 'no running instance found; start one with `npm start -- --follow`, or name --data-dir or --database-url'
      : `no database is kept in ${dataDir}; start an instance there with \`npm start -- --data-dir ${dataDir}\``,
  );
}
