import type { Command } from 'commander';
import { loginEvents } from '../../../lambda/events/login-event.ts';
import { valueOptions } from '../../keys/known-person.ts';
import { databaseUrl, dataDir, json, keyset, keysetSecret, reason } from '../../options.ts';
import type { EraseOptions } from './erase.ts';

/** Adds `erase`. @param finish takes the exit code */
export function addErase(vizard: Command, finish: (exitCode: number) => void): void {
  const erase = vizard
    .command('erase')
    .description(
      'Delete the rows of somebody whose address or device is known, under whichever key they were written, in one ' +
        'transaction and on record in the audit trail. With several values, the rows that have all of them. ' +
        'What is still in queues, and backups, it does not reach.',
    );
  for (const option of valueOptions(loginEvents)) erase.addOption(option);
  erase
    .addOption(reason())
    .option(
      '--blank',
      'keep the rows and empty their masked columns; user_id, device_type, locale, app_version, date and event_id stay',
      false,
    )
    .option('--dry-run', 'only count what would go, which is a lookup and on record as one', false)
    .option('--yes', 'do not ask', false)
    .addOption(databaseUrl())
    .addOption(dataDir())
    .addOption(keyset())
    .addOption(keysetSecret())
    .addOption(json())
    .action(async (options: EraseOptions) => {
      const { erase } = await import('./erase.ts');
      finish(await erase(options));
    });
}
