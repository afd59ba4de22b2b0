import type { Removal } from './erase-rows.ts';
import type { KeptValues } from './kept-values.ts';

/** Whether there is nothing at all, in the table or beside it. */
export function isNothing({ rows, sealedValues, aliases }: Removal): boolean {
  return rows + sealedValues + aliases === 0;
}

/** The outcome, one line: `erased 2 rows and 3 sealed values`. */
export function renderOutcome(
  removal: Removal,
  { blank, dryRun }: { readonly blank: boolean; readonly dryRun: boolean },
): string {
  if (isNothing(removal)) return 'no rows';
  const rows = removal.rows > 0 ? [count(removal.rows, 'row')] : [];
  const done = [
    ...(blank ? say('blanked', rows) : []),
    ...say('erased', [...(blank ? [] : rows), ...kept(removal)]),
  ];
  return `${dryRun ? 'would have ' : ''}${done.join(' and ')}`;
}

/** What there is and what becomes of it, for whoever is asked whether they agree. */
export function renderPlan(removal: Removal, table: string, blank: boolean): string {
  const { rows } = removal;
  const beside = listed(kept(removal));
  if (rows === 0)
    return `no row of ${table} has what was given, but this is kept of it and goes for good: ${beside}`;
  const fate = blank ? 'their masked columns become NULL' : 'they go for good';
  const found = `${count(rows, 'row')} of ${table} ${rows === 1 ? 'has' : 'have'} what was given; ${fate}`;
  return beside === '' ? found : `${found}, and what no other row needs goes too: ${beside}`;
}

function kept({ sealedValues, aliases }: KeptValues): string[] {
  return [
    ...(sealedValues > 0 ? [count(sealedValues, 'sealed value')] : []),
    ...(aliases > 0 ? [count(aliases, 'alias', 'aliases')] : []),
  ];
}

function say(done: string, what: readonly string[]): string[] {
  return what.length > 0 ? [`${done} ${listed(what)}`] : [];
}

function listed(parts: readonly string[]): string {
  return new Intl.ListFormat('en-GB').format(parts);
}

function count(number: number, one: string, several = `${one}s`): string {
  return `${number} ${number === 1 ? one : several}`;
}
