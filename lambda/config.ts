import { ConfigError } from './errors.ts';
import type { Masking } from './events/declaration.ts';
import type { FurtherColumns } from './events/login-event.ts';
import { type Keyset, parseKeyset } from './masking/keyset.ts';
import { parseRecoveryKey, type RecoveryKey } from './masking/sealing.ts';
import { ENV } from './names.ts';

/** A Postgres that its URL says all about, user and TLS included. */
export interface UrlAddress {
  readonly kind: 'url';
  readonly url: string;
}

/** A Postgres on RDS; the user logs in by IAM authentication. */
export interface IamAddress {
  readonly kind: 'iam';
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly region: string;
}

/** A Postgres on RDS whose administrator's login is a secret. What is given here wins over what the secret says. */
export interface SecretAddress {
  readonly kind: 'secret';
  readonly arn: string;
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  readonly database?: string | undefined;
  readonly region: string;
}

/** Where the keys are: here, or in Secrets Manager. */
export type KeysetAddress =
  | { readonly kind: 'inline'; readonly keyset: Keyset }
  | { readonly kind: 'secret'; readonly arn: string; readonly region: string };

/** Everything that the ingest is told from outside. */
export interface Config {
  readonly database: UrlAddress | IamAddress;
  readonly keyset: KeysetAddress;
  readonly masking: Masking;
  /** To which values are sealed; undefined where they are not. */
  readonly recoveryKey: RecoveryKey | undefined;
  readonly further: FurtherColumns;
}

/** What the circuit breaker is told. */
export interface BreakerConfig {
  readonly region: string;
  /** UUID of the event source mapping. */
  readonly mappingId: string;
  /** Name of the function that tries a write. */
  readonly probeFunction: string;
  /** Name of the parameter that keeps its state. */
  readonly memoryParameter: string;
  readonly topicArn: string;
  /** By which the ingest's metrics are told from those of other stacks. */
  readonly service: string;
}

/** What the function is told that keeps the partitions. */
export interface RetentionConfig {
  readonly database: UrlAddress | IamAddress | SecretAddress;
  readonly retentionDays: number;
}

const MASKINGS: readonly Masking[] = ['recoverable', 'irreversible'];
const DEFAULT_PORT = 5432;
/** Ten years: a partition a day is as many as a table should have. */
const MOST_RETENTION_DAYS = 3650;
/** Set by Lambda itself. */
const REGION = 'AWS_REGION';
/** Read by Powertools as well. */
const SERVICE = 'POWERTOOLS_SERVICE_NAME';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * What the ingest is told. This file is the only place that reads the environment.
 *
 * @throws ConfigError or KeysetError that names the variable
 */
export function readConfig(env: Environment): Config {
  forbid(env, ENV.databaseSecretArn, 'the ingest does not log in as administrator');
  return Object.freeze({
    database: Object.freeze(readDatabase(env)),
    keyset: Object.freeze(readKeyset(env)),
    ...readMasking(env),
    further: readFurtherColumns(env),
  });
}

/**
 * What the migration is told.
 *
 * @throws ConfigError that names the variable
 */
export function readMigrationDatabase(env: Environment): UrlAddress | IamAddress | SecretAddress {
  if (!env[ENV.databaseSecretArn]) return Object.freeze(readDatabase(env));
  const because = `${ENV.databaseSecretArn} is set`;
  forbid(env, ENV.databaseUrl, because);
  forbid(env, ENV.databaseUser, because);
  return Object.freeze<SecretAddress>({
    kind: 'secret',
    arn: readSecretId(env, ENV.databaseSecretArn),
    host: env[ENV.databaseHost] ? readHost(env) : undefined,
    port: env[ENV.databasePort] ? readPort(env) : undefined,
    database: env[ENV.databaseName] || undefined,
    region: readRegion(env),
  });
}

/**
 * What the login event has beside its usual columns.
 *
 * @throws ConfigError that names the variable
 */
export function readFurtherColumns(env: Environment): FurtherColumns {
  const text = env[ENV.ipNetwork] || 'off';
  if (text !== 'on' && text !== 'off')
    throw new ConfigError(`${ENV.ipNetwork}: expected on or off, got ${text.length} other characters`);
  return Object.freeze<FurtherColumns>({ ipNetwork: text === 'on' });
}

/**
 * To which key values are sealed for the vault.
 *
 * @returns undefined where they are not, and there is no vault
 * @throws ConfigError that names the variable
 */
export function readRecoveryKey(env: Environment): RecoveryKey | undefined {
  const text = env[ENV.recoveryPublicKey];
  return text ? parseRecoveryKey(text, ENV.recoveryPublicKey) : undefined;
}

/**
 * How many days before today the table keeps.
 *
 * @returns undefined where it keeps everything and is a plain table
 * @throws ConfigError that names the variable
 */
export function readRetentionDays(env: Environment): number | undefined {
  const text = env[ENV.retentionDays];
  if (!text) return undefined;
  const days = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (days < 1 || days > MOST_RETENTION_DAYS) {
    throw new ConfigError(
      `${ENV.retentionDays}: expected a number from 1 to ${MOST_RETENTION_DAYS}, got ${text.length} other characters`,
    );
  }
  return days;
}

/**
 * What the function is told that keeps the partitions.
 *
 * @throws ConfigError that names the variable
 */
export function readRetentionConfig(env: Environment): RetentionConfig {
  required(env, ENV.retentionDays);
  return Object.freeze<RetentionConfig>({
    database: readMigrationDatabase(env),
    retentionDays: readRetentionDays(env)!,
  });
}

/** @throws ConfigError that names the variable */
export function readBreakerConfig(env: Environment): BreakerConfig {
  return Object.freeze<BreakerConfig>({
    region: readRegion(env),
    mappingId: required(env, ENV.breakerMappingId),
    probeFunction: required(env, ENV.breakerProbeFunction),
    memoryParameter: required(env, ENV.breakerMemoryParameter),
    topicArn: required(env, ENV.breakerTopicArn),
    service: required(env, SERVICE),
  });
}

/** @throws ConfigError where Lambda's region is missing */
export function readRegion(env: Environment): string {
  const region = required(env, REGION);
  if (!/^[a-z]{2}(-[a-z]+)+-\d+$/.test(region)) {
    throw new ConfigError(
      `${REGION}: expected a region like eu-central-1, got ${region.length} other characters`,
    );
  }
  return region;
}

function readDatabase(env: Environment): UrlAddress | IamAddress {
  if (env[ENV.databaseUrl]) {
    const others = [ENV.databaseHost, ENV.databasePort, ENV.databaseName, ENV.databaseUser];
    for (const other of others) forbid(env, other, `${ENV.databaseUrl} is set`);
    return { kind: 'url', url: parseDatabaseUrl(required(env, ENV.databaseUrl), ENV.databaseUrl) };
  }
  if (!env[ENV.databaseHost]) {
    throw new ConfigError(
      `${ENV.databaseUrl}: expected a value, got nothing; set it, or ${ENV.databaseHost} for a database on AWS`,
    );
  }
  return {
    kind: 'iam',
    host: readHost(env),
    port: readPort(env),
    database: required(env, ENV.databaseName),
    user: required(env, ENV.databaseUser),
    region: readRegion(env),
  };
}

function readKeyset(env: Environment): KeysetAddress {
  if (env[ENV.maskingKeysetSecretArn]) {
    forbid(env, ENV.maskingKeyset, `${ENV.maskingKeysetSecretArn} is set`);
    return { kind: 'secret', arn: readSecretId(env, ENV.maskingKeysetSecretArn), region: readRegion(env) };
  }
  const json = required(env, ENV.maskingKeyset, `set it or ${ENV.maskingKeysetSecretArn}`);
  return { kind: 'inline', keyset: parseKeyset(json, ENV.maskingKeyset) };
}

/** @param name of the setting, as the error names it */
export function parseDatabaseUrl(value: string, name: string): string {
  const url = URL.parse(value);
  if (url === null || !['postgres:', 'postgresql:'].includes(url.protocol)) {
    // Not even the part before the colon is shown: a URL holds a password.
    throw new ConfigError(
      `${name}: expected a URL like postgres://user:password@host:5432/database, got other text`,
    );
  }
  return value;
}

/** Whoever could open every token would need no private key. */
function readMasking(env: Environment): Pick<Config, 'masking' | 'recoveryKey'> {
  const masking = parseMasking(env[ENV.masking] || 'recoverable', ENV.masking);
  const recoveryKey = readRecoveryKey(env);
  if (recoveryKey !== undefined && masking !== 'irreversible') {
    throw new ConfigError(
      `${ENV.masking}: expected irreversible because ${ENV.recoveryPublicKey} is set, got ${masking}; set it to irreversible, or unset ${ENV.recoveryPublicKey}`,
    );
  }
  return { masking, recoveryKey };
}

/** @param name of the setting, as the error names it */
export function parseMasking(value: string, name: string): Masking {
  const masking = MASKINGS.find((known) => known === value);
  if (masking === undefined) {
    throw new ConfigError(`${name}: expected ${MASKINGS.join(' or ')}, got ${value.length} other characters`);
  }
  return masking;
}

function readHost(env: Environment): string {
  const host = required(env, ENV.databaseHost);
  if (!/^[A-Za-z0-9.-]+$/.test(host)) {
    throw new ConfigError(
      `${ENV.databaseHost}: expected a host name, got ${host.length} other characters; leave out protocol and port`,
    );
  }
  return host;
}

function readPort(env: Environment): number {
  const text = env[ENV.databasePort] || String(DEFAULT_PORT);
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) {
    throw new ConfigError(
      `${ENV.databasePort}: expected a number from 1 to 65535, got ${text.length} other characters`,
    );
  }
  return port;
}

/** As Secrets Manager takes it: an ARN, or a name, which some emulators return in place of one. */
function readSecretId(env: Environment, name: string): string {
  const id = required(env, name);
  // Those that RDS manages have a ! in their names.
  if (!/^(arn:[a-z-]+:secretsmanager:[a-z0-9-]+:\d{12}:secret:)?[\w/+=.@!-]+$/.test(id)) {
    throw new ConfigError(
      `${name}: expected the ARN of a secret of Secrets Manager, got ${id.length} other characters`,
    );
  }
  return id;
}

function required(env: Environment, name: string, advice = 'set it'): string {
  const value = env[name];
  if (value === undefined || value === '')
    throw new ConfigError(`${name}: expected a value, got nothing; ${advice}`);
  return value;
}

/** Two settings that answer one question: whoever set both may mean either. */
function forbid(env: Environment, name: string, because: string): void {
  if (env[name])
    throw new ConfigError(`${name}: expected nothing because ${because}, got a value; unset one`);
}
