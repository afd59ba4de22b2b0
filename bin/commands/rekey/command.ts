import { type Command, Option } from 'commander';
import { databaseUrl, dataDir, integer, json, keyset, keysetSecret, reason } from '../../options.ts';
import type { RekeyCommandOptions } from './rekey.ts';

const MAX_BATCH_SIZE = 100_000;
/** Measured: larger ones are hardly faster, and whoever needs one of their rows waits for the whole. */
const BATCH_SIZE = 2_000;

/** Adds `rekey`. @param finish takes the exit code */
export function addRekey(vizard: Command, finish: (exitCode: number) => void): void {
  vizard
    .command('rekey')
    .description(
      'Rewrite the tokens of an old key as those of the primary one, while events go on coming in, and prove that ' +
        'equal values are equal as before. After any end, the same command goes on where it was.',
    )
    .requiredOption('--from <kid>', 'the key whose tokens are rewritten')
    .requiredOption('--to <kid>', 'the primary key')
    .addOption(reason())
    .addOption(
      new Option('--batch-size <n>', 'rows a transaction, about')
        .argParser(integer(1, MAX_BATCH_SIZE))
        .default(BATCH_SIZE),
    )
    .option(
      '--now',
      'do not wait for functions that may still write with the old key: what they write stays under it',
      false,
    )
    .option('--dry-run', 'only count the rows', false)
    .addOption(databaseUrl())
    .addOption(dataDir())
    .addOption(keyset())
    .addOption(keysetSecret())
    .addOption(json())
    .action(async (options: RekeyCommandOptions) => {
      const { rekey } = await import('./rekey.ts');
      finish(await rekey(options));
    });
}
