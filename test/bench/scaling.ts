/** The tables of docs/scaling.md: what a rate of events needs and costs, reckoned from figures of the bench. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, CommanderError, Option } from 'commander';
import { VizardError } from '../../lambda/errors.ts';
import type { Report } from './report.ts';
import { withTables } from './scaling-document.ts';
import { BENCH_COMMAND, type Figures, figuresOf } from './scaling-figures.ts';
import { TABLES } from './scaling-tables.ts';

const USAGE = 2;
const DOCS = join(import.meta.dirname, '..', '..', 'docs');
const FIGURES = join(DOCS, 'scaling.json');
const DOCUMENT = join(DOCS, 'scaling.md');

interface Options {
  readonly from?: string;
  readonly table: string[];
  readonly write: boolean;
}

function readOptions(): Options {
  return new Command('scaling')
    .description('Prints the tables of docs/scaling.md.')
    .configureOutput({
      outputError: (text, write) => write(`scaling: ${text.trim().replace(/^error: /, '')}\n`),
    })
    .exitOverride()
    .option('--from <file>', `figures that \`${BENCH_COMMAND}\` printed (default: docs/scaling.json)`)
    .addOption(
      new Option('--table <names...>', 'these tables')
        .choices(Object.keys(TABLES))
        .default(Object.keys(TABLES), 'all'),
    )
    .option('--write', 'write figures and tables into docs/ instead', false)
    .parse()
    .opts<Options>();
}

function readFigures(file: string | undefined): Figures {
  if (file === undefined) return readJson(FIGURES) as Figures;
  return figuresOf(readJson(file) as Report, new Date().toISOString().slice(0, 10));
}

/** npm prints lines of its own before what the bench prints, unless it is silent. */
function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8').replace(/^[^{]*\n(?=\{)/, ''));
  } catch {
    throw new VizardError(
      `${file}: expected a file with the JSON of the bench, got none; run ${BENCH_COMMAND} > ${file}`,
    );
  }
}

function main({ from, table, write }: Options): void {
  const figures = readFigures(from);
  if (!write) {
    process.stdout.write(`${table.map((name) => `${name}\n\n${TABLES[name]!(figures)}`).join('\n\n')}\n`);
    return;
  }
  const tables = Object.fromEntries(Object.entries(TABLES).map(([name, render]) => [name, render(figures)]));
  writeFileSync(DOCUMENT, withTables(readFileSync(DOCUMENT, 'utf8'), tables));
  writeFileSync(FIGURES, `${JSON.stringify(figures, null, 2)}\n`);
}

try {
  main(readOptions());
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : USAGE;
  } else if (error instanceof VizardError) {
    process.stderr.write(`scaling: ${error.message}\n`);
    process.exitCode = USAGE;
  } else {
    throw error;
  }
}
