import { Command, Option } from 'commander';
import { integer, json } from '../../bin/options.ts';
import type { StageOptions } from './stage.ts';

export interface BenchOptions extends StageOptions {
  /** Names of the benchmarks to run. */
  readonly only: readonly string[];
  readonly list: boolean;
  readonly json: boolean;
}

const ROUNDS = { full: 15, quick: 3 };
const HISTORY = { full: 20_000_000, quick: 20_000 };

/**
 * @param args without the program's name
 * @param names of all benchmarks
 * @throws CommanderError after one line on standard error, or after the help; its exit code is 0 for the help
 */
export function readOptions(args: readonly string[], names: readonly string[]): BenchOptions {
  const { quick, rounds, history, only, ...rest } = new Command('bench')
    .description('Measures the handler next to the limit of what Postgres can take.')
    .configureOutput({
      outputError: (text, write) =>
        write(
          `bench: ${text
            .trim()
            .replace(/^error: /, '')
            .replaceAll('\n', ' ')}\n`,
        ),
    })
    .exitOverride()
    .addOption(
      new Option('--rounds <n>', 'that count, after the warm-up (default: 15)').argParser(integer(1, 1_000)),
    )
    .option('--quick', 'few rounds of small sizes, to see that everything runs', false)
    .addOption(new Option('--only <names...>', 'these benchmarks').choices(names).default(names, 'all'))
    .option('--list', 'name the benchmarks, and run none', false)
    .addOption(
      new Option('--history <rows>', 'of the long history (default: 20000000)').argParser(
        integer(1, 1_000_000_000),
      ),
    )
    .addOption(json())
    .parse(args, { from: 'user' })
    .opts<Omit<BenchOptions, 'rounds' | 'history'> & { rounds?: number; history?: number }>();
  const size = quick ? 'quick' : 'full';
  return {
    ...rest,
    quick,
    rounds: rounds ?? ROUNDS[size],
    history: history ?? HISTORY[size],
    only: names.filter((name) => only.includes(name)),
  };
}
