import Table from 'cli-table3';
import type { FaultKind } from './faults.ts';
import type { Findings } from './reconcile.ts';

/** What came of a run. */
export interface Report {
  readonly seed: number;
  readonly sent: number;
  readonly rows: number;
  readonly deadLetters: number;
  /** From the first message to the last one settled. */
  readonly seconds: number;
  /** Messages a second, while they were sent. */
  readonly sentPerSecond: number;
  /** Rows a second, over the whole run with its outages. */
  readonly storedPerSecond: number;
  /** How often a function was handed a message, on average. */
  readonly receivesPerMessage: number;
  /** Of a message that was stored. */
  readonly mostReceives: number;
  readonly peakInFlight: number;
  /** Messages whose event functions found in the table already, and messages that they gave back. */
  readonly duplicates: number;
  readonly retried: number;
  /** Invocations that failed as a whole. */
  readonly thrown: number;
  /** How often each kind hit. */
  readonly faults: Readonly<Partial<Record<FaultKind, number>>>;
  readonly findings: Findings;
  /** Why workers ended that nobody killed. */
  readonly crashes: readonly string[];
}

/** Every figure that has to be 0. */
export function failuresOf({ findings, crashes }: Report): [name: string, of: readonly string[]][] {
  return [...Object.entries(findings), ['crashed', crashes]];
}

export function isClean(report: Report): boolean {
  return failuresOf(report).every(([, of]) => of.length === 0);
}

/** One line of JSON. */
export function renderJson(report: Report): string {
  const { findings: _findings, crashes: _crashes, ...figures } = report;
  const failures = failuresOf(report).map(([name, of]) => [name, of.length]);
  return JSON.stringify({ ...figures, ...Object.fromEntries(failures) });
}

const SHOWN = 3;

/** What a person wants to see; its last line says `lost 0 doubled 0`. */
export function renderText(report: Report): string {
  const { findings, crashes } = report;
  const table = new Table({ style: { head: [], border: [], compact: true } });
  for (const [name, value] of figuresOf(report)) table.push([name, { content: value, hAlign: 'right' }]);
  const failures = failuresOf(report);
  const examples = failures
    .filter(([, of]) => of.length > 0)
    .map(([name, of]) => `${name}, the first of ${of.length}: ${of.slice(0, SHOWN).join(', ')}\n`);
  const { lost, doubled, unknown, wrong, exhausted, left } = findings;
  return (
    `${table.toString()}\n${examples.join('')}` +
    `unknown ${unknown.length} wrong ${wrong.length} exhausted ${exhausted.length} left ${left.length} crashed ${crashes.length}\n` +
    `lost ${lost.length} doubled ${doubled.length}`
  );
}

function figuresOf(report: Report): [string, string][] {
  const count = (value: number) => value.toLocaleString('en');
  return [
    ['seed', String(report.seed)],
    ['messages sent', count(report.sent)],
    ['rows', count(report.rows)],
    ['dead letters', count(report.deadLetters)],
    ['seconds', count(report.seconds)],
    ['sent / s', count(report.sentPerSecond)],
    ['stored / s', count(report.storedPerSecond)],
    ['receives a message', String(report.receivesPerMessage)],
    ['most receives until stored', count(report.mostReceives)],
    ['duplicates met', count(report.duplicates)],
    ['messages given back', count(report.retried)],
    ['invocations failed', count(report.thrown)],
    ['peak in flight', count(report.peakInFlight)],
    ...Object.entries(report.faults).map(([kind, hits]): [string, string] => [`  ${kind}`, count(hits)]),
  ];
}
