/** The measuring instrument: the handler next to the limit of what Postgres can take, and what else costs time or memory. */
import { CommanderError } from 'commander';
import { createProgress } from '../../bin/local/progress.ts';
import { VizardError } from '../../lambda/errors.ts';
import { describeError } from '../../lambda/log.ts';
import { errorCode } from '../../lambda/postgres/sqlstate.ts';
import type { Benchmark } from './benchmark.ts';
import { BENCHMARKS } from './benchmarks.ts';
import { describeMachine, loadNow } from './machine.ts';
import { type BenchOptions, readOptions } from './options.ts';
import { type BenchmarkReport, type Report, renderJson, renderText } from './report.ts';
import { openStage, type Stage } from './stage.ts';

const FAILURE = 1;
const USAGE = 2;

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2), Object.keys(BENCHMARKS));
  if (options.list) return list();
  const report = await run(options);
  process.stdout.write(`${options.json ? renderJson(report) : renderText(report)}\n`);
}

async function list(): Promise<void> {
  for (const [name, load] of Object.entries(BENCHMARKS)) {
    const { benchmark } = await load();
    process.stdout.write(`${name.padEnd(12)} ${benchmark.title}\n`);
  }
}

async function run(options: BenchOptions): Promise<Report> {
  const { rounds, quick, only } = options;
  const load = loadNow();
  const stage = await openStage(options, createProgress());
  try {
    const chosen = await Promise.all(only.map(async (name) => ({ name, ...(await BENCHMARKS[name]!()) })));
    for (const { benchmark } of chosen) await benchmark.check?.(stage);
    const benchmarks: BenchmarkReport[] = [];
    for (const { name, benchmark } of chosen) benchmarks.push(await runOne(name, benchmark, stage));
    return { machine: describeMachine(stage.serverVersion, load), rounds, quick, benchmarks };
  } finally {
    await stage.close();
  }
}

async function runOne(name: string, benchmark: Benchmark, stage: Stage): Promise<BenchmarkReport> {
  const { title, note } = benchmark;
  stage.progress.note(`${name}: ${title}`);
  const start = performance.now();
  const figures = await benchmark.run(stage);
  return { name, title, note, seconds: Math.round((performance.now() - start) / 1_000), figures };
}

/** Never its message, which may quote a row. */
function unexpected(error: unknown): string {
  const { error: name, frames } = describeError(error);
  return `unexpected ${name} ${errorCode(error, '')} ${frames?.[0]}`;
}

try {
  await main();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : USAGE;
  } else {
    process.stderr.write(`bench: ${error instanceof VizardError ? error.message : unexpected(error)}\n`);
    process.exitCode = FAILURE;
  }
}
