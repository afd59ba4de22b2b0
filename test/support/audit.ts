import { type Act, type AuditRow, digestOf, withAudit } from '../../lambda/postgres/audit/audit.ts';
import { withClient } from '../../lambda/postgres/connection.ts';
import type { Cli } from './cli.ts';
import type { TestDatabase } from './database.ts';

export const ACT: Act = {
  who: 'alice@host',
  reason: 'SUP-1',
  action: 'recover',
  columns: ['masked_ip'],
  kids: ['k1', 'k2'],
  count: 2,
  digest: digestOf([]),
};

export function append({ login }: TestDatabase, changes: Partial<Act> = {}): Promise<AuditRow> {
  return withClient(login, (client) => withAudit(client, { ...ACT, ...changes }, (row) => row));
}

export async function appendMany(database: TestDatabase, count: number): Promise<AuditRow[]> {
  const rows: AuditRow[] = [];
  for (let i = 1; i <= count; i++) rows.push(await append(database, { reason: `SUP-${i}` }));
  return rows;
}

/** `vizard audit verify --json`. */
export async function verifyTrail({ run }: Cli, { url }: TestDatabase, options: readonly string[]) {
  const result = await run(['audit', 'verify', '--json', '--database-url', url, ...options]);
  return { exitCode: result.exitCode, verdict: result.json() as Record<string, unknown> };
}
