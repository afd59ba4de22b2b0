import type { TrailRow } from '../../../lambda/postgres/audit/chain.ts';
import { latestAudit } from '../../../lambda/postgres/audit/trail.ts';
import { type DatabaseOptions, withDatabase } from '../../local/find-database.ts';
import { printableJson, printableTable } from '../../local/printable.ts';

export interface ListOptions extends DatabaseOptions {
  readonly limit: number;
  readonly json: boolean;
}

/** `vizard audit list`: the last rows of the audit trail, the newest first. */
export async function list(options: ListOptions): Promise<number> {
  const rows = await withDatabase(options, (client) => latestAudit(client, options.limit));
  process.stdout.write(options.json ? `${printableJson({ rows })}\n` : render(rows));
  return 0;
}

const HEAD = ['number', 'at', 'who', 'action', 'count', 'columns', 'kids', 'reason'];

function render(rows: readonly TrailRow[]): string {
  if (rows.length === 0) return 'no rows\n';
  return printableTable(
    HEAD,
    rows.map(({ number, at, who, action, count, columns, kids, reason }) => [
      number,
      at,
      who,
      action,
      count,
      columns.join(', '),
      kids.join(', '),
      reason,
    ]),
  );
}
