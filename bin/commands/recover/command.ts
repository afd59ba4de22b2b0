import { type Command, Option } from 'commander';
import {
  databaseUrl,
  dataDir,
  integer,
  json,
  keyset,
  keysetSecret,
  privateKey,
  reason,
  recoveryKmsKey,
} from '../../options.ts';
import type { RecoverOptions } from './recover.ts';

const MAX_TOKENS = 100_000;

/** Adds `recover`. @param finish takes the exit code */
export function addRecover(vizard: Command, finish: (exitCode: number) => void): void {
  vizard
    .command('recover')
    .description(
      'Show what stands behind tokens, in clear, on standard output: a token, a tab, its value. ' +
        'Nothing is shown before it stands in the audit trail who asked, and why.',
    )
    .argument('[tokens...]', 'tokens as they stand in any masked column')
    .option('--file <file>', 'tokens from a file, one a line, - for standard input')
    .option('--query <sql>', 'tokens from a query, which may only read')
    .option('--column <name>', 'the column of the query that holds them')
    .addOption(reason())
    .addOption(
      new Option(
        '--limit <n>',
        'with more tokens, or rows of the query, NULLs included, nothing is shown at all, 1-100000',
      )
        .argParser(integer(1, MAX_TOKENS))
        .default(100),
    )
    .option('--dry-run', 'only say how many tokens of which keys; opens and audits nothing', false)
    .addOption(databaseUrl())
    .addOption(dataDir())
    .addOption(keyset())
    .addOption(keysetSecret())
    .addOption(privateKey())
    .addOption(recoveryKmsKey())
    .addOption(json())
    .action(async (tokens: string[], options: RecoverOptions) => {
      const { recover } = await import('./recover.ts');
      finish(await recover(tokens, options));
    });
}
