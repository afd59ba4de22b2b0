/**
 * Names that the functions and what deploys them have in common: the stack writes them into templates, the functions
 * read or create what they stand for.
 */

/** Environment variables. */
export const ENV = Object.freeze({
  /** Postgres by URL, for laptops and emulators. */
  databaseUrl: 'DATABASE_URL',
  /** Administrator's secret, as RDS writes it: {username, password} and, where the host is not given, {host, port, dbname}. */
  databaseSecretArn: 'DATABASE_SECRET_ARN',
  databaseHost: 'DATABASE_HOST',
  databasePort: 'DATABASE_PORT',
  databaseName: 'DATABASE_NAME',
  /** Logs in by IAM authentication where there is neither URL nor secret. */
  databaseUser: 'DATABASE_USER',
  maskingKeyset: 'MASKING_KEYSET',
  maskingKeysetSecretArn: 'MASKING_KEYSET_SECRET_ARN',
  masking: 'MASKING',
  /** Whether logins have the masked network of their address as well: `on` or `off`. */
  ipNetwork: 'IP_NETWORK',
  /** To which values are sealed: base64 of the DER SubjectPublicKeyInfo of an RSA key. */
  recoveryPublicKey: 'RECOVERY_PUBLIC_KEY',
  /** How many days before today the table keeps; it is partitioned by date where this is set. */
  retentionDays: 'RETENTION_DAYS',
  /** What the circuit breaker watches, switches, asks, remembers in and tells. */
  breakerMappingId: 'BREAKER_MAPPING_ID',
  breakerProbeFunction: 'BREAKER_PROBE_FUNCTION',
  breakerMemoryParameter: 'BREAKER_MEMORY_PARAMETER',
  breakerTopicArn: 'BREAKER_TOPIC_ARN',
});

/** What the circuit breaker remembers before it has run for the first time. */
export const BREAKER_INITIAL_MEMORY = '{"state":"new"}';

/** Postgres roles of a database on AWS; all log in by IAM authentication. */
export const ROLES = Object.freeze({
  /** The ingest: inserts, and reads of the table only the idempotency key. */
  writer: 'vizard_writer',
  /** Analysts: read the table and the view of repeats. */
  reader: 'vizard_reader',
  /** Whoever recovers values, or looks known ones up: reads the table and the vault, and writes the trail. */
  recovery: 'vizard_recovery',
  /** Whoever keeps the keys and erases: rewrites tokens and removes rows as well. */
  custodian: 'vizard_custodian',
});

/** CloudWatch metrics in the embedded metric format. */
export const METRICS = Object.freeze({
  namespace: 'Vizard',
  /** Dimension of every metric; its value is the environment variable POWERTOOLS_SERVICE_NAME. */
  service: 'service',
  /** Further dimension of `rejected`: a FieldCode or SQLSTATE. */
  code: 'code',
  /** Messages an invocation. */
  batchSize: 'BatchSize',
  /** Messages by what became of them. */
  stored: 'Stored',
  duplicates: 'Duplicates',
  rejected: 'Rejected',
  retried: 'Retried',
  /** Milliseconds an invocation. The stages overlap: `write` is the time in which nothing else was done. */
  keysetTime: 'KeysetTime',
  parseTime: 'ParseTime',
  maskTime: 'MaskTime',
  writeTime: 'WriteTime',
  /** Milliseconds from the oldest message's sent time to the commit. */
  lag: 'Lag',
  /** 1 for each invocation that failed because of it. */
  databaseUnreachable: 'DatabaseUnreachable',
  keysetUnreachable: 'KeysetUnreachable',
  /**
   * 1 for each invocation that could store nothing of its batch, be it that database or keyset is away or that the database
   * is locked, else 0; nothing where all of it was bad. Its average is the share of such invocations, by which the circuit
   * breaker opens.
   */
  blocked: 'Blocked',
  /** Once a minute: 1 while no messages are received because the circuit breaker or a person has stopped it, else 0. */
  stopped: 'Stopped',
  /** 1 when the circuit breaker opens and when it closes. */
  breakerOpened: 'BreakerOpened',
  breakerClosed: 'BreakerClosed',
  /** Once an hour, of a table that is partitioned: days from today on that have a partition, 0 when today has none. */
  partitionsAhead: 'PartitionsAhead',
  partitionsDropped: 'PartitionsDropped',
  /** Rows that were older than what is kept when they came: many of them are a producer's wrong EventTime. */
  expiredRows: 'ExpiredRows',
});
