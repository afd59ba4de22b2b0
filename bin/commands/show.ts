import { DatabaseFailure, VizardError } from '../../lambda/errors.ts';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { type DatabaseOptions, findDatabase } from '../local/find-database.ts';
import { readTable, renderTable } from '../local/view.ts';

export interface ShowOptions extends DatabaseOptions {
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
