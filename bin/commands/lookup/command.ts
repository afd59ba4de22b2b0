import { type Command, Option } from 'commander';
import { loginEvents } from '../../../lambda/events/login-event.ts';
import { valueOptions } from '../../keys/known-person.ts';
import { databaseUrl, dataDir, integer, json, keyset, keysetSecret, reason } from '../../options.ts';
import type { LookupOptions } from './lookup.ts';

const MAX_SHOWN = 10_000;

/** Adds `lookup`. @param finish takes the exit code */
export function addLookup(vizard: Command, finish: (exitCode: number) => void): void {
  const lookup = vizard
    .command('lookup')
    .description(
      'Show the rows of somebody whose address or device is known, under whichever key they were written. ' +
        'With several values, the rows that have all of them. Nothing is shown before it stands in the audit trail.',
    );
  for (const option of valueOptions(loginEvents)) lookup.addOption(option);
  lookup
    .addOption(reason())
    .addOption(new Option('--limit <n>', 'rows to show').argParser(integer(1, MAX_SHOWN)).default(100))
    .addOption(databaseUrl())
    .addOption(dataDir())
    .addOption(keyset())
    .addOption(keysetSecret())
    .addOption(json())
    .action(async (options: LookupOptions) => {
      const { lookup } = await import('./lookup.ts');
      finish(await lookup(options));
    });
}
