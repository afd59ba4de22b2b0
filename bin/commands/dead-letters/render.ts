import Table from 'cli-table3';
import type { Look } from './look.ts';
import type { Reason, ReasonCount } from './reason.ts';

/** A table as `show` has them. */
export function renderTable(
  head: readonly string[],
  rows: readonly (readonly (string | number)[])[],
): string {
  const table = new Table({ head: [...head], style: { head: [], border: [], compact: true } });
  for (const row of rows) table.push([...row]);
  return `${table.toString()}\n`;
}

export function renderReasons(reasons: readonly ReasonCount[], now: number): string {
  if (reasons.length === 0) return '';
  return renderTable(
    ['field', 'code', 'count', 'oldest'],
    reasons.map(({ field, code, count, oldest }) => [field ?? '–', code, count, renderAge(oldest, now)]),
  );
}

export function renderReason({ field, code }: Reason): string {
  return field === null ? code : `${field}: ${code}`;
}

/** What a look did not show or give back, a line each; nothing where it did all. */
export function renderUnseen({ unseen, elsewhere, notGivenBack }: Look): string {
  const lines = [];
  if (unseen > 0) lines.push(`about ${unseen} more were not looked at`);
  if (elsewhere > 0)
    lines.push(
      `about ${elsewhere} more are being looked at by somebody else, or were when a command was killed: back within ten minutes`,
    );
  if (notGivenBack !== undefined)
    lines.push('what was looked at could not all be given back: the rest is back within ten minutes');
  return lines.map((line) => `${line}\n`).join('');
}

const UNITS: readonly (readonly [string, number])[] = [
  ['d', 86_400],
  ['h', 3_600],
  ['min', 60],
  ['s', 1],
];

/** Whole seconds since a time in milliseconds; null where it is not known. */
export function ageSeconds(sentAt: number | undefined, now: number): number | null {
  return sentAt === undefined ? null : Math.max(0, Math.floor((now - sentAt) / 1000));
}

/** The two largest units, as in `3 d 4 h`. */
export function renderAge(sentAt: number | undefined, now: number): string {
  const age = ageSeconds(sentAt, now);
  if (age === null) return 'unknown';
  let rest = age;
  const parts = UNITS.map(([unit, seconds]) => {
    const count = Math.floor(rest / seconds);
    rest -= count * seconds;
    return { count, text: `${count} ${unit}` };
  });
  const first = parts.findIndex(({ count }) => count > 0);
  if (first < 0) return '0 s';
  return parts
    .slice(first, first + 2)
    .filter(({ count }) => count > 0)
    .map(({ text }) => text)
    .join(' ');
}
