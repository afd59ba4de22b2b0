/** Longer than the server's deadlock_timeout, a second by default, after which autovacuum makes way for whoever waits. */
const AUTOVACUUM_MAKES_WAY = '10s';

/** Statements that tell the planner what a table holds, in the transaction they are in or in one of their own. */
export function analysis(table: string): string {
  return `SET LOCAL lock_timeout = '${AUTOVACUUM_MAKES_WAY}'; ANALYZE ${table}`;
}
