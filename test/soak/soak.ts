/**
 * Sender, queue, event source mapping, concurrent functions and Postgres, while faults hit them at random from a seed;
 * then every message that was sent is held against the rows and the dead letters.
 */
import { randomInt } from 'node:crypto';
import { Command, CommanderError, Option } from 'commander';
import { createProgress } from '../../bin/local/progress.ts';
import { onStopRequest } from '../../bin/local/stop.ts';
import { integer, json } from '../../bin/options.ts';
import { VizardError } from '../../lambda/errors.ts';
import { isClean, renderJson, renderText } from './report.ts';
import { type SoakOptions, soak } from './run.ts';

const FAILURE = 1;
const USAGE = 2;
const MAX_SEED = 2 ** 32 - 1;

interface Options extends SoakOptions {
  readonly json: boolean;
}

function readOptions(): Options {
  return new Command('soak')
    .description(
      'Breaks everything at random while messages are ingested, and looks for each of them afterwards.',
    )
    .configureOutput({
      outputError: (text, write) =>
        write(
          `soak: ${text
            .trim()
            .replace(/^error: /, '')
            .replaceAll('\n', ' ')}\n`,
        ),
    })
    .exitOverride()
    .addOption(new Option('--messages <n>', 'to send').argParser(integer(1, 1_000_000)).default(200_000))
    .addOption(new Option('--faults <n>', 'to let hit').argParser(integer(0, 1_000)).default(40))
    .addOption(
      new Option('--seed <n>', 'replays the faults and messages of a run')
        .argParser(integer(0, MAX_SEED))
        .default(randomInt(MAX_SEED), 'random'),
    )
    .addOption(new Option('--workers <n>', 'concurrent functions').argParser(integer(1, 16)).default(4))
    .addOption(json())
    .parse()
    .opts<Options>();
}

async function main(): Promise<number> {
  const options = readOptions();
  const progress = createProgress();
  const stop = onStopRequest({ keys: true });
  try {
    progress.note(`seed ${options.seed}`);
    const report = await soak(options, progress, stop.signal);
    process.stdout.write(`${options.json ? renderJson(report) : renderText(report)}\n`);
    return isClean(report) ? 0 : FAILURE;
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    progress.note('stopped');
    return stop.exitCode();
  } finally {
    stop.release();
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : USAGE;
  } else {
    const said =
      error instanceof VizardError ? error.message : `unexpected ${(error as Error)?.name ?? 'error'}`;
    process.stderr.write(`soak: ${said}\n`);
    process.exitCode = FAILURE;
  }
}
