import { type Command, InvalidArgumentError, Option } from 'commander';
import { dataDir, endpointUrl, integer, json, queueUrl } from '../../options.ts';
import type { ExportOptions } from './export.ts';
import type { ListOptions } from './list.ts';
import { REASON_CODES, STORABLE } from './reason.ts';
import type { RedriveOptions } from './redrive.ts';

const MAX_LISTED = 1_000_000;

/** Adds `dead-letters` with its commands. @param finish takes the exit code */
export function addDeadLetters(vizard: Command, finish: (exitCode: number) => void): void {
  const deadLetters = vizard
    .command('dead-letters')
    .description('What could not be stored: why, and how to send it back.');
  const command = (name: string, description: string) =>
    deadLetters
      .command(name)
      .description(description)
      .addOption(queueUrl())
      .addOption(endpointUrl())
      .addOption(dataDir())
      .addOption(json());

  command('list', 'Count the dead letters of a queue by reason, and name the oldest. Changes nothing.')
    .addOption(new Option('--limit <n>', 'messages to name').argParser(integer(0, MAX_LISTED)).default(20))
    .action(async (options: ListOptions) => {
      const { list } = await import('./list.ts');
      finish(await list(options));
    });

  command(
    'redrive',
    'Send dead letters back to their queue, as the events that they are: what was stored after all makes no second row.',
  )
    .addOption(
      new Option('--reason <code>', `whose reason this is; may be repeated (default: ${STORABLE})`).argParser(
        reason,
      ),
    )
    .addOption(new Option('--limit <n>', 'at most so many (default: all)').argParser(integer(1, MAX_LISTED)))
    .option('--dry-run', 'only say what it would do', false)
    .option('--yes', 'do not ask', false)
    .action(async (options: RedriveOptions) => {
      const { redrive } = await import('./redrive.ts');
      finish(await redrive(options));
    });

  command(
    'export',
    'Write a diagnosis of each dead letter, fit for a bug report: no value, and no name but those of the fields.',
  )
    .argument('<file>', 'a new file, one JSON object a line, - for standard output')
    .action(async (file: string, options: ExportOptions) => {
      const { exportDiagnoses } = await import('./export.ts');
      finish(await exportDiagnoses(file, options));
    });
}

function reason(code: string, previous: readonly string[] = []): string[] {
  if (!REASON_CODES.includes(code))
    throw new InvalidArgumentError(`Expected one of ${REASON_CODES.join(', ')}.`);
  return [...previous, code];
}
