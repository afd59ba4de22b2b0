import { type Command, InvalidArgumentError, Option } from 'commander';
import { databaseUrl, dataDir, integer, json } from '../../options.ts';
import type { ListOptions } from './list.ts';
import type { VerifyOptions } from './verify.ts';

const MAX_LISTED = 10_000;

/** Adds `audit` with its commands. @param finish takes the exit code */
export function addAudit(vizard: Command, finish: (exitCode: number) => void): void {
  const audit = vizard
    .command('audit')
    .description('Who recovered, looked up or erased what, or changed keys, and why.');
  const command = (name: string, description: string) =>
    audit
      .command(name)
      .description(description)
      .addOption(databaseUrl())
      .addOption(dataDir())
      .addOption(json());

  command('list', 'Show the last rows of the audit trail, the newest first.')
    .addOption(new Option('--limit <n>', 'rows to show').argParser(integer(1, MAX_LISTED)).default(20))
    .action(async (options: ListOptions) => {
      const { list } = await import('./list.ts');
      finish(await list(options));
    });

  command(
    'verify',
    'Check the chain of the audit trail: no row altered, none missing. Note the head that it prints elsewhere: ' +
      'only a head from before shows that rows were cut off at the end, or the whole chain made anew.',
  )
    .addOption(
      new Option('--head <hash>', 'a head noted earlier; has to be in the chain still').argParser(head),
    )
    .action(async (options: VerifyOptions) => {
      const { verify } = await import('./verify.ts');
      finish(await verify(options));
    });
}

function head(text: string): string {
  if (!/^[0-9a-f]{64}$/.test(text))
    throw new InvalidArgumentError('Expected 64 characters 0-9 a-f, as `vizard audit verify` prints them.');
  return text;
}
