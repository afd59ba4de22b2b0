import type { Command } from 'commander';
import { databaseUrl, dataDir, json, keyset, keysetSecret, reason } from '../../options.ts';
import type { ChangeOptions } from './change.ts';
import type { ListOptions } from './list.ts';
import type { PromoteOptions } from './promote.ts';
import type { ShredOptions } from './shred.ts';

/** Adds `keys` with its commands. @param finish takes the exit code */
export function addKeys(vizard: Command, finish: (exitCode: number) => void): void {
  const keys = vizard
    .command('keys')
    .description(
      'The life of the keys that tokens are made with: add, promote, rekey the table, retire, shred.',
    );
  const command = (name: string, description: string) =>
    keys
      .command(name)
      .description(description)
      .addOption(keyset())
      .addOption(keysetSecret())
      .addOption(databaseUrl())
      .addOption(dataDir())
      .addOption(json());
  const change = (name: string, description: string) =>
    command(name, description).addOption(reason()).option('--dry-run', 'only say what it would do', false);

  command('list', 'Show the keys and how many rows are under each; never material. Changes nothing.')
    .option('--no-rows', 'do not count rows, which reads the whole table')
    .action(async (options: ListOptions) => {
      const { list } = await import('./list.ts');
      finish(await list(options));
    });

  change('add', 'Add a new key. No token is made with it before it is promoted.')
    .argument('[kid]', 'its name, which was never used before (default: the next k<number>)')
    .action(async (kid: string | undefined, options: ChangeOptions) => {
      const { add } = await import('./add.ts');
      finish(await add(kid, options));
    });

  change(
    'promote',
    'Make a key the one of new tokens. Values that were seen before still join. Those that first come in under the old key in the five minutes afterwards join when it is run again, or after the rekey.',
  )
    .argument('<kid>', 'a key of the keyset')
    .option('--now', 'even if functions may not know the key yet', false)
    .action(async (kid: string, options: PromoteOptions) => {
      const { promote } = await import('./promote.ts');
      finish(await promote(kid, options));
    });

  change('retire', 'Note that no row is under a key any more. Its tokens elsewhere can still be recovered.')
    .argument('<kid>', 'an old key, when `vizard rekey` has rewritten its tokens')
    .action(async (kid: string, options: ChangeOptions) => {
      const { retire } = await import('./retire.ts');
      finish(await retire(kid, options));
    });

  change('shred', 'Take a retired key out of the keyset for good: its tokens can never be recovered then.')
    .argument('<kid>', 'a retired key')
    .option('--now', 'even if functions may still write with it', false)
    .option('--yes', 'do not ask', false)
    .action(async (kid: string, options: ShredOptions) => {
      const { shred } = await import('./shred.ts');
      finish(await shred(kid, options));
    });
}
