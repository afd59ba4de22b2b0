import Table from 'cli-table3';
import type { Rotation } from '../../../lambda/masking/retoken.ts';
import type { Histogram, Proof } from '../../../lambda/postgres/rekey/census.ts';
import type { RowsOfKey } from '../../../lambda/postgres/rekey/count.ts';
import type { RekeyOutcome } from '../../../lambda/postgres/rekey/rekey.ts';

/** What the command says in the end; rows as they were counted at the start. */
export interface Report extends Rotation, RowsOfKey {
  /** Undefined where nothing was to be done but counting. */
  readonly outcome: RekeyOutcome | undefined;
}

/** 1 where something of the old key is left, or equal values were not shown to be equal as before; the same when it is asked again. */
export function exitCodeOf({ outcome }: Report): number {
  switch (outcome?.kind) {
    case undefined:
    case 'stopped':
      return 0;
    case 'done':
    case 'already':
      return outcome.proof.left === 0 && outcome.proof.verdict === 'proven' ? 0 : 1;
    case 'written':
    case 'kept':
      return 1;
    default:
      return outcome satisfies never;
  }
}

/** The report for a person. */
export function renderReport({ from, to, rows, irreversible, outcome }: Report): string {
  if (outcome === undefined)
    return `${rows} rows have tokens of key "${from}", ${irreversible} of them irreversible ones; nothing was changed`;
  switch (outcome.kind) {
    case 'stopped':
      return 'stopped; what was rewritten is committed, and the same command goes on there';
    case 'written':
      return `functions still write with key "${from}"; see which keyset they have, and run the same command again`;
    case 'kept':
      return `tokens of key "${from}" stay though they can be rewritten: a trigger or a policy keeps their rows as they are; the aliases are kept, see what holds for the table, and run the same command again`;
    case 'already':
      return [
        `no row has a token of key "${from}"; they were rewritten for "${to}" before, ${outcome.rewritten} rows`,
        ...(outcome.proof.verdict === 'proven' ? [] : [`done, ${renderVerdict(outcome.proof)}`]),
      ].join('\n');
    default:
      return [
        `${outcome.rewritten} rows rewritten from key "${from}" to "${to}"`,
        ...(outcome.resealed === 0 ? [] : [`${outcome.resealed} sealed values moved to their new tokens`]),
        ...renderLeft(outcome.proof, from),
        ...renderProof(outcome.proof),
      ].join('\n');
  }
}

function renderLeft({ left }: Proof, from: string): string[] {
  if (left === 0) return [`no token of key "${from}" is left in the table`];
  return [
    `${left} tokens of key "${from}" are left: they are not authentic, so nobody can rewrite them; blank them, or restore them from a backup`,
  ];
}

function renderProof(proof: Proof): string[] {
  const { rowsBefore, rowsAfter, arrived, columns } = proof;
  const table = new Table({
    head: ['', 'values before', 'after', 'with fewer rows', 'rows more', 'values by rows before', 'after'],
    style: { head: [], border: [], compact: true },
  });
  for (const { column, before, after, shrunk, grown, histogram } of columns) {
    table.push([
      column,
      before,
      after,
      shrunk,
      grown,
      renderHistogram(histogram.before),
      renderHistogram(histogram.after),
    ]);
  }
  return [
    `rows before ${rowsBefore}, after ${rowsAfter}; came in meanwhile ${arrived}`,
    table.toString(),
    renderVerdict(proof),
  ];
}

/** A line for each size. */
function renderHistogram(histogram: Histogram): string {
  const sizes = Object.keys(histogram)
    .map(Number)
    .toSorted((a, b) => a - b);
  return sizes
    .map((size) => `${size < 3 ? size : `${size}–${(size - 1) * 2}`}: ${histogram[size]}`)
    .join('\n');
}

function renderVerdict(proof: Proof): string {
  const { verdict, arrived, shrunkDays } = proof;
  switch (verdict) {
    case 'proven':
      return arrived === 0
        ? 'proven: every value has as many rows as before'
        : 'proven: no value has fewer rows than before, and together they have as many more as rows came in';
    case 'deleted':
      return `not proven: rows were deleted meanwhile (${shrunkDays} dates have fewer), by retention or an erasure, so that values with fewer rows show nothing; every token that can be read is rewritten`;
    case 'failed':
      return `not proven: ${renderDifferences(proof).join('; ')}; somebody else changes the table. Every token that can be read is rewritten`;
    default:
      return verdict satisfies never;
  }
}

/** What neither rows that came in nor known deletions explain. */
function renderDifferences({ columns, arrived, wrongAliases }: Proof): string[] {
  const ofColumns = columns.flatMap(({ column, shrunk, grown }) => [
    ...(shrunk > 0
      ? [`in ${column} ${count(shrunk, 'value has', 'values have')} fewer rows than before`]
      : []),
    ...(grown !== arrived
      ? [
          `in ${column} values have together ${count(grown, 'row', 'rows')} more, while the table has ${arrived}`,
        ]
      : []),
  ]);
  if (wrongAliases === 0) return ofColumns;
  return [
    `${count(wrongAliases, 'alias is', 'aliases are')} not what the keyset makes of the token, or that of two tokens`,
    ...ofColumns,
  ];
}

function count(n: number, one: string, many: string): string {
  return `${n} ${n === 1 ? one : many}`;
}
