import { DatabaseError } from 'pg';

/**
 * What a failed statement means for the rows that it carried.
 *
 * - `duplicate`: one of the rows is in the table already
 * - `row`: the database refuses one row for what it holds; the others can be stored
 * - `transient`: the same statement may well succeed on another connection
 * - `contention`: as transient, but the database is well: two writers were in each other's way
 * - `unknown`: the rows may be committed or not; only an idempotent statement may follow
 * - `slow`: the statement ran out of time
 * - `credentials`: refused at login
 * - `deployment`: wrong schema, privileges or code; no row is to blame
 */
export type Failure =
  | 'duplicate'
  | 'row'
  | 'transient'
  | 'contention'
  | 'unknown'
  | 'slow'
  | 'credentials'
  | 'deployment';

// Names from https://www.postgresql.org/docs/current/errcodes-appendix.html
const UNIQUE_VIOLATION = '23505';
const CHECK_VIOLATION = '23514';
/**
 * not_null, foreign_key, exclusion violations; program_limit_exceeded, which one oversized value can cause;
 * raise_exception, by which a trigger refuses the row that it is fired for.
 */
const ROW_CODES = new Set(['23502', '23503', '23P01', '54000', 'P0001']);
/** data_exception: text too long, number out of range, bad encoding and the like. */
const ROW_CLASS = '22';
/**
 * character_not_in_repertoire, invalid_binary_representation, bad_copy_file_format: of that class, but it is a column that
 * has another type than we write. Our text is well-formed and without NUL; what a database's encoding lacks is 22P05.
 */
const FORMAT_CODES = new Set(['22021', '22P03', '22P04']);
/** serialization_failure, deadlock_detected, lock_not_available. */
const CONTENTION_CODES = new Set(['40001', '40P01', '55P03']);
/** idle_in_transaction_session_timeout, read_only_sql_transaction (a failover left us on a reader), shutdowns. */
const TRANSIENT_CODES = new Set([
  '25P03',
  '25006',
  '57P01',
  '57P02',
  '57P03',
  '57P04',
  '57P05',
  '08000',
  '08001',
  '08003',
  '08004',
  '08006',
]);
/** insufficient_resources (disk, memory, connections) and system_error. */
const TRANSIENT_CLASSES = new Set(['53', '58']);
/** transaction_resolution_unknown, statement_completion_unknown. */
const UNKNOWN_CODES = new Set(['08007', '40003']);
/** query_canceled, what statement_timeout raises; transaction_timeout, which ends the session as well. */
const SLOW_CODES = new Set(['57014', '25P04']);
/** invalid_authorization_specification, invalid_password. */
const CREDENTIAL_CODES = new Set(['28000', '28P01']);

/**
 * @param error whatever a statement or a connection attempt was rejected with
 * @param idempotencyIndex a 23505 on this index, or on a partition's part of it, means that the event is stored; on any
 *   other it refuses the row
 */
export function classify(error: unknown, idempotencyIndex: string): Failure {
  // No SQLSTATE: the socket failed (ECONNRESET, ETIMEDOUT, "Connection terminated unexpectedly").
  if (!(error instanceof DatabaseError) || error.code === undefined) return 'transient';
  const { code, constraint } = error;
  if (code === UNIQUE_VIOLATION) return isPartOf(constraint, idempotencyIndex) ? 'duplicate' : 'row';
  if (FORMAT_CODES.has(code)) return 'deployment';
  if (code === CHECK_VIOLATION && !constraint) return withoutPartition(error);
  if (code === CHECK_VIOLATION || ROW_CODES.has(code) || code.startsWith(ROW_CLASS)) return 'row';
  if (CONTENTION_CODES.has(code)) return 'contention';
  if (TRANSIENT_CODES.has(code) || TRANSIENT_CLASSES.has(code.slice(0, 2))) return 'transient';
  if (UNKNOWN_CODES.has(code)) return 'unknown';
  if (SLOW_CODES.has(code)) return 'slow';
  if (CREDENTIAL_CODES.has(code)) return 'credentials';
  return 'deployment';
}

/** An index of a partitioned table is one index for each partition, with the partition's name in place of the table's. */
function isPartOf(constraint: string | undefined, index: string): boolean {
  return constraint === index || constraint?.replace(PARTITION, '') === index;
}

/**
 * A row had been given to the default partition and waited there for the one that is now made for its day; the next attempt
 * goes to that one. Where no partition at all takes a row, the table is wrong.
 */
function withoutPartition({ routine }: DatabaseError): Failure {
  return routine === 'ExecPartitionCheckEmitError' ? 'contention' : 'deployment';
}

const PARTITION = /_(\d{8}|default|history)(?=_event_key$)/;

/**
 * True for an error of the database or of the way to it. A lost connection is an Error without a name of its own, with
 * a system error code or none, and several failed addresses of one host are an AggregateError; anything of another
 * class is a fault of our own.
 */
export function isDatabaseFault(error: unknown): boolean {
  return (
    error instanceof DatabaseError ||
    error instanceof AggregateError ||
    (error instanceof Error && error.name === 'Error')
  );
}

/**
 * What may be said of a database error: its SQLSTATE, or the system's code. Message, detail and context quote values.
 *
 * @param otherwise where it has neither
 */
export function errorCode(error: unknown, otherwise = 'connection_lost'): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && /^[A-Z0-9_]{3,40}$/.test(code) ? code : otherwise;
}

/** Source files of the server that refuse a row by one of the table's own rules, and so name only what the table has. */
const RULES_OF_THE_TABLE = new Set([
  'execMain.c',
  'execIndexing.c',
  'execExprInterp.c',
  'nbtinsert.c',
  'ri_triggers.c',
]);

/**
 * Which rule refused a row: a column, a constraint, or `row`. A trigger may name whatever it likes, a value of the row
 * included (RAISE … USING COLUMN = NEW.user_id), and says so in the fields that a table's own rules fill.
 */
export function refusedField(error: unknown): string {
  const { file = '', column, constraint } = error as Partial<DatabaseError>;
  return (RULES_OF_THE_TABLE.has(file) && (column ?? constraint)) || 'row';
}
