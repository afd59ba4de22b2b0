import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { BENCHMARKS } from '../../bench/benchmarks.ts';
import { readOptions } from '../../bench/options.ts';

const PROGRAM = new URL('../../bench/bench.ts', import.meta.url).pathname;
const names = ['batches', 'masking', 'history'];

function bench(...args: string[]) {
  return spawnSync(process.execPath, [PROGRAM, ...args], { encoding: 'utf8' });
}

describe('npm run bench', () => {
  it.each<[args: string[], complaint: RegExp]>([
    [
      ['--only', 'nothing'],
      new RegExp(`^bench: .*'nothing' is invalid.* ${Object.keys(BENCHMARKS).join(', ')}\\.\n$`),
    ],
    [['--rounds', '0'], /^bench: .*'0' is invalid\. Expected a whole number from 1 to .*\n$/],
    [['--history', 'many'], /^bench: .*'many' is invalid\. Expected a whole number .*\n$/],
    [['--fast'], /^bench: unknown option '--fast'.*\n$/],
    [['masking'], /^bench: too many arguments.*\n$/],
  ])('%j is refused in one line, and nothing is run', (args, complaint) => {
    const { status, stdout, stderr } = bench(...args);

    expect(stderr).toMatch(complaint);
    expect([status, stdout]).toEqual([2, '']);
  });

  it('names every benchmark, with its title', () => {
    const { status, stdout } = bench('--list');

    expect(status).toBe(0);
    expect(stdout.trim().split('\n')).toEqual(
      Object.keys(BENCHMARKS).map((name) => expect.stringMatching(new RegExp(`^${name} +\\S`))),
    );
  });
});

describe('the options', () => {
  it.each([
    [[], { rounds: 15, history: 20_000_000, only: names, quick: false, json: false }],
    [['--quick'], { rounds: 3, history: 20_000, only: names, quick: true }],
    [['--quick', '--rounds', '5', '--history', '7'], { rounds: 5, history: 7 }],
    [['--only', 'history', '--only', 'batches'], { only: ['batches', 'history'] }],
  ])('%j', (args, expected) => {
    expect(readOptions(args, names)).toMatchObject(expected);
  });
});
