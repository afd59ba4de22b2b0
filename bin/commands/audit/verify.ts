import { ChainChecker, type Fault, type Verdict } from '../../../lambda/postgres/audit/chain.ts';
import { allAudit, auditLength } from '../../../lambda/postgres/audit/trail.ts';
import type { DatabaseClient } from '../../../lambda/postgres/connection.ts';
import { type DatabaseOptions, withDatabase } from '../../local/find-database.ts';
import { printableJson } from '../../local/printable.ts';
import { createProgress } from '../../local/progress.ts';

export interface VerifyOptions extends DatabaseOptions {
  /** A hash noted earlier. */
  readonly head?: string;
  readonly json: boolean;
}

/** Faults that are named to a person. */
const SHOWN = 20;

/** `vizard audit verify`: whether the chain is whole. @returns the exit code: 1 where it is broken */
export async function verify(options: VerifyOptions): Promise<number> {
  const { head, json } = options;
  const { verdict, headFound } = await withDatabase(options, (client) => check(client, head));
  const ok = verdict.faults.length === 0 && headFound;
  const output = { ok, ...verdict, ...(head !== undefined && { headFound }) };
  process.stdout.write(json ? `${printableJson(output)}\n` : render(verdict, headFound));
  return ok ? 0 : 1;
}

async function check(
  client: DatabaseClient,
  head: string | undefined,
): Promise<{ verdict: Verdict; headFound: boolean }> {
  const progress = createProgress();
  const checker = new ChainChecker();
  let headFound = head === undefined;
  progress.begin('verified', await auditLength(client));
  try {
    for await (const rows of allAudit(client)) {
      for (const row of rows) {
        checker.add(row);
        headFound ||= row.hash === head;
      }
      progress.advance(rows.length);
    }
  } finally {
    progress.end();
  }
  return { verdict: checker.verdict(), headFound };
}

function render({ count, head, faults }: Verdict, headFound: boolean): string {
  const lines = faults.slice(0, SHOWN).map(describe);
  if (faults.length > SHOWN) lines.push(`and ${faults.length - SHOWN} more`);
  if (!headFound)
    lines.push(
      'the head that was noted is not in the chain: rows were cut off at its end, or it was made anew',
    );
  const verdict = lines.length === 0 ? 'the chain is whole' : 'the chain is broken';
  return [...lines, `${verdict}: ${count} rows`, `head ${head}`].map((line) => `${line}\n`).join('');
}

function describe({ number, fault, rows = 1 }: Fault): string {
  switch (fault) {
    case 'missing':
      return rows === 1
        ? `row ${number} is missing`
        : `rows ${number} to ${BigInt(number) + BigInt(rows) - 1n} are missing`;
    case 'altered':
      return `row ${number} was altered`;
    case 'unlinked':
      return `row ${number} was not appended to the row ${BigInt(number) - 1n} that is there: one of them was replaced`;
    case 'doubled':
      return `row ${number} is there twice`;
    default:
      return fault satisfies never;
  }
}
