import { ConfigError } from './errors.ts';
import type { Masking } from './events/declaration.ts';
import { type Keyset, parseKeyset } from './masking/keyset.ts';

/** Names of the environment variables that the function reads. */
export const ENV = Object.freeze({
  databaseUrl: 'DATABASE_URL',
  maskingKeyset: 'MASKING_KEYSET',
  masking: 'MASKING',
});

/** Everything that the ingest is told from outside. */
export interface Config {
  readonly databaseUrl: string;
  readonly keyset: Keyset;
  readonly masking: Masking;
}

const MASKINGS: readonly Masking[] = ['recoverable', 'irreversible'];

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The only place that reads the environment.
 *
 * @throws ConfigError or KeysetError that names the variable
 */
export function readConfig(env: Environment): Config {
  return Object.freeze({
    databaseUrl: readDatabaseUrl(env),
    keyset: parseKeyset(required(env, ENV.maskingKeyset), ENV.maskingKeyset),
    masking: parseMasking(env[ENV.masking] || 'recoverable', ENV.masking),
  });
}

/** @throws ConfigError where it is missing or no Postgres URL */
export function readDatabaseUrl(env: Environment): string {
  return parseDatabaseUrl(required(env, ENV.databaseUrl), ENV.databaseUrl);
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

/** @param name of the setting, as the error names it */
export function parseMasking(value: string, name: string): Masking {
  const masking = MASKINGS.find((known) => known === value);
  if (masking === undefined) {
    throw new ConfigError(`${name}: expected ${MASKINGS.join(' or ')}, got ${value.length} other characters`);
  }
  return masking;
}

function required(env: Environment, name: string): string {
  const value = env[name];
  if (value === undefined || value === '')
    throw new ConfigError(`${name}: expected a value, got nothing; set it`);
  return value;
}
