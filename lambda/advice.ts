/**
 * What a person can do about a change of the schema that failed.
 *
 * @param code a SQLSTATE or a system error code
 */
export function adviceFor(code: string): string {
  const isSqlState = /^[0-9FHPX][0-9A-Z]{4}$/.test(code);
  if (!isSqlState) {
    return 'check host, port and security groups, and on RDS that the certificate is one of its region';
  }
  if (code.startsWith('28')) return 'check that user and password are those of the database';
  return ADVICE[code] ?? 'the code is a SQLSTATE of PostgreSQL';
}

/** By SQLSTATE. */
const ADVICE: Readonly<Record<string, string>> = {
  '2BP01':
    'a role of it has granted what it was granted to others; revoke that from it with CASCADE; or a view or a key depends on a partition that is to go; drop it before',
  '42501': 'log in as the owner of the schema, of the tables and of the roles that are there',
  '42P07':
    'a table or an index has the name that a partition or its index is to have, perhaps because a partition was detached; rename it',
  '42P01': 'a table or view is gone since it was looked for; run the migration again',
  '42P16': 'the view that is there has other columns; drop it, and the migration makes it again',
  '55000':
    'a publication that publishes deletes needs a replica identity of the table that rows are taken out of, the default partition or the plain table; give it one with ALTER TABLE … REPLICA IDENTITY FULL, or leave deletes out of the publication',
  '55P03':
    'another session holds a lock on the table or view; find it in pg_locks, let it end, and run it again',
  '57014':
    'it did not end within the time of the invocation; see what it waited for, or make a large index by hand with CREATE UNIQUE INDEX CONCURRENTLY, and run it again',
};
