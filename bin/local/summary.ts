import { loginEvents } from '../../lambda/events/login-event.ts';
import { readTable, renderTable } from './view.ts';

/** What came of a run, as `--json` prints it. */
export interface Summary {
  readonly received: number;
  readonly stored: number;
  readonly duplicates: number;
  readonly rejected: number;
  readonly deadLettered: number;
  readonly seconds: number;
  readonly rejections: readonly Rejected[];
}

/** A message that was refused; `messageId` is null where the queue refused it, `line` where nothing was sent. */
export interface Rejected {
  readonly messageId: string | null;
  readonly line: number | null;
  readonly field: string;
  readonly code: string;
}

const LIMITS = { rows: 5, repeats: 15 };

export interface SummaryOptions {
  readonly databaseUrl: string;
  readonly json: boolean;
}

/** On standard output: one line of JSON, or what a person wants to see. */
export async function printSummary(summary: Summary, { databaseUrl, json }: SummaryOptions): Promise<void> {
  if (json) {
    process.stdout.write(`${JSON.stringify(summary)}\n`);
    return;
  }
  const view = await readTable(databaseUrl, loginEvents, LIMITS);
  process.stdout.write(
    `\n${renderCounts(summary)}\n${renderRejections(summary)}\n${renderTable(view, loginEvents)}\n`,
  );
}

function renderCounts({ received, stored, duplicates, rejected, deadLettered, seconds }: Summary): string {
  return (
    `received ${received} · stored ${stored} · duplicates ${duplicates} · rejected ${rejected}` +
    ` · dead-lettered ${deadLettered} · ${seconds} s`
  );
}

function renderRejections({ rejections }: Summary): string {
  const lines = rejections.map(({ messageId, line, field, code }) => {
    const place = line === null ? '' : `line ${String(line).padStart(4)}  `;
    return `  ${place}${messageId ?? 'not sent'.padEnd(36)}  ${field}: ${code}`;
  });
  return lines.length === 0 ? '' : `\nrejected messages\n${lines.join('\n')}\n`;
}
