#!/usr/bin/env node
import { Command, CommanderError, Option } from 'commander';
import { parseMasking } from '../lambda/config.ts';
import { VizardError } from '../lambda/errors.ts';
import { addAudit } from './commands/audit/command.ts';
import { addDeadLetters } from './commands/dead-letters/command.ts';
import { addErase } from './commands/erase/command.ts';
import { addKeys } from './commands/keys/command.ts';
import { addLookup } from './commands/lookup/command.ts';
import { addRecover } from './commands/recover/command.ts';
import { addRecoveryKey } from './commands/recovery-key/command.ts';
import { addRekey } from './commands/rekey/command.ts';
import type { RunOptions } from './commands/run.ts';
import type { SendOptions } from './commands/send.ts';
import type { ShowOptions } from './commands/show.ts';
import { databaseUrl, dataDir, endpointUrl, integer, json, maxReceiveCount, queueUrl } from './options.ts';

/** Exit code of whatever the caller can mend: options, files, addresses. */
const USAGE = 2;
const MAX_BATCH_SIZE = 10_000;

function program(finish: (exitCode: number) => void): Command {
  const vizard = new Command('vizard')
    .description('Login events off an SQS queue, masked, into Postgres.')
    // One line, with commander's suggestion where it has one.
    .configureOutput({
      outputError: (text, write) => write(`vizard: ${withoutValues(text)}\n`),
    })
    .exitOverride();

  vizard
    .command('run')
    .description(
      'Feed a queue to the handler until it is drained. Queue and database are embedded where none is given; ' +
        'without --input and --queue-url the bundled sample is sent. Any key stops.',
    )
    .option('--input <file>', 'one message body a line, - for standard input')
    .addOption(queueUrl())
    .addOption(endpointUrl())
    .addOption(databaseUrl())
    .addOption(
      new Option('--batch-size <n>', 'most messages an invocation, 1-10000')
        .argParser(integer(1, MAX_BATCH_SIZE))
        .default(1000),
    )
    .addOption(maxReceiveCount())
    .option('--follow', 'keep polling until stopped', false)
    .addOption(dataDir())
    .option(
      '--keyset <file>',
      'the keyset to mask with (default: MASKING_KEYSET, else one kept with the data)',
    )
    .addOption(
      new Option('--masking <scheme>', 'recoverable or irreversible')
        .argParser((text) => parseMasking(text, '--masking'))
        .default('recoverable'),
    )
    .addOption(
      new Option('--recovery-key <file>', 'seals values to this public key, for a vault').implies({
        masking: 'irreversible',
      }),
    )
    .option('--ip-network', 'also a masked_ip_network: the address by its network, masked', false)
    .addOption(json())
    .action(async (options: RunOptions) => {
      // Loaded when it is needed: servers and SDK take half a second, and help and errors should not wait for them.
      const { run } = await import('./commands/run.ts');
      finish(await run(options));
    });

  vizard
    .command('send')
    .description('Send every line of a file as one message to a queue, a running instance or a kept one.')
    .argument('<file>', 'one message body a line, - for standard input')
    .addOption(queueUrl())
    .addOption(endpointUrl())
    .addOption(dataDir())
    .addOption(json())
    .action(async (file: string, options: SendOptions) => {
      const { send } = await import('./commands/send.ts');
      finish(await send(file, options));
    });

  vizard
    .command('show')
    .description(
      'Show the latest rows and the masked values that repeat, of a database, a running instance or a kept one.',
    )
    .addOption(new Option('--limit <n>', 'rows of each').argParser(integer(1, 10_000)).default(10))
    .addOption(databaseUrl())
    .addOption(dataDir())
    .addOption(json())
    .action(async (options: ShowOptions) => {
      const { show } = await import('./commands/show.ts');
      finish(await show(options));
    });

  addDeadLetters(vizard, finish);
  addRecover(vizard, finish);
  addLookup(vizard, finish);
  addErase(vizard, finish);
  addAudit(vizard, finish);
  addKeys(vizard, finish);
  addRekey(vizard, finish);
  addRecoveryKey(vizard, finish);

  return vizard;
}

/** Commander's complaint on one line. What was typed may be what somebody looks up: it is left out. */
function withoutValues(text: string): string {
  return text
    .replace(/^error: |\n/g, ' ')
    .replace(/unknown option '(--[a-z-]+|-[a-z])?.*'/, (_, name = '') =>
      `unknown option ${name && `'${name}'`}`.trim(),
    )
    .replace(/unknown command '.*'/, 'unknown command')
    .replace(/(option '[^']*' argument|command-argument value) '.*' is invalid/, '$1 is invalid')
    .replace(/(arguments? but got \d+): .*/, '$1')
    .trim();
}

async function main(): Promise<number> {
  let exitCode = 0;
  try {
    await program((code) => {
      exitCode = code;
    }).parseAsync();
    return exitCode;
  } catch (error) {
    // Commander has said what is wrong, or shown its help.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE;
    const message =
      error instanceof VizardError ? error.message : `unexpected ${(error as Error)?.name ?? 'error'}`;
    process.stderr.write(`vizard: ${message}\n`);
    return USAGE;
  }
}

/** Whoever reads may stop reading; what is under way is finished all the same, and nothing is left held. */
function surviveClosedPipes(): void {
  process.stderr.on('error', () => {});
  process.stdout.on('error', ({ code }: NodeJS.ErrnoException) => {
    if (code === 'EPIPE') return;
    process.stderr.write(`vizard: standard output cannot be written (${code}); see where it goes\n`);
    process.exitCode = USAGE;
  });
}

surviveClosedPipes();
const exitCode = await main();
process.exitCode ??= exitCode;
