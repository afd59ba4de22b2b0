import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import {
  type Config,
  parseDatabaseUrl,
  parseMasking,
  readConfig,
  readFurtherColumns,
  readMigrationDatabase,
  readRegion,
} from '../../lambda/config.ts';
import { ConfigError, KeysetError, VizardError } from '../../lambda/errors.ts';
import type { Keyset } from '../../lambda/masking/keyset.ts';
import { KEYSET_JSON } from '../support/records.ts';

const PASSWORD = 'sentinelpassword';
const MATERIAL = `sentinel-material-${'m'.repeat(43)}`;
const URL_TEXT = `postgres://vizard:${PASSWORD}@db.example:5432/logins`;

const SECRET_ARN = 'arn:aws:secretsmanager:eu-central-1:000000000000:secret:sentinel-name-Ab12Cd';
/** What Lambda itself sets is there. */
const ON_AWS = {
  DATABASE_HOST: 'logins.cluster-abc.eu-central-1.rds.amazonaws.com',
  DATABASE_NAME: 'logins',
  DATABASE_USER: 'vizard_writer',
  MASKING_KEYSET_SECRET_ARN: SECRET_ARN,
  AWS_REGION: 'eu-central-1',
};
const GOOD = { DATABASE_URL: URL_TEXT, MASKING_KEYSET: KEYSET_JSON };

describe('readConfig', () => {
  it('reads all variables', () => {
    const config = readConfig({ ...GOOD, MASKING: 'irreversible' });

    expect(config.database).toEqual({ kind: 'url', url: URL_TEXT });
    expect(inlineKeyset(config).primary).toBe('k1');
    expect(inlineKeyset(config).kids).toEqual(['k1', 'k2']);
    expect(config.masking).toBe('irreversible');
  });

  it.each([undefined, '', 'recoverable'])('masks recoverably where MASKING is %j', (masking) => {
    expect(readConfig({ ...GOOD, MASKING: masking }).masking).toBe('recoverable');
  });

  it.each([
    [undefined, false],
    ['', false],
    ['off', false],
    ['on', true],
  ])('has logins with a network where IP_NETWORK is %j: %j', (value, ipNetwork) => {
    expect(readConfig({ ...GOOD, IP_NETWORK: value }).further).toEqual({ ipNetwork });
    expect(readFurtherColumns({ IP_NETWORK: value })).toEqual({ ipNetwork });
  });

  it.each(['On', 'true', '1', ' on', 'yes', 'sentinel'])(
    'names IP_NETWORK and hides it where it is %j',
    (value) => {
      const error = errorOf({ ...GOOD, IP_NETWORK: value });

      expect(error).toBeInstanceOf(ConfigError);
      expect(error.message).toBe(`IP_NETWORK: expected on or off, got ${value.length} other characters`);
    },
  );

  it('gives a value that nobody can change', () => {
    for (const env of [GOOD, ON_AWS]) {
      const config = readConfig(env);

      expect([config, config.database, config.keyset].map((part) => Object.isFrozen(part))).toEqual([
        true,
        true,
        true,
      ]);
    }
    const keyset = inlineKeyset(readConfig(GOOD));
    expect([keyset, keyset.kids].every((part) => Object.isFrozen(part))).toBe(true);
  });

  it('gives a keyset that does not show its material', () => {
    const json = JSON.stringify({ primary: 'k1', k1: MATERIAL });
    const { keyset } = readConfig({ ...GOOD, MASKING_KEYSET: json });

    expect(inspect(keyset, { depth: null, showHidden: true })).not.toContain('sentinel');
    expect(JSON.stringify(keyset)).not.toContain('sentinel');
  });

  it('reads only the environment that it is given', () => {
    expect(() => readConfig({})).toThrow(ConfigError);
  });

  it.each(['DATABASE_URL', 'MASKING_KEYSET'])('names %s where it is missing or empty', (name) => {
    for (const value of [undefined, '']) {
      const error = errorOf({ ...GOOD, [name]: value });

      expect(error).toBeInstanceOf(ConfigError);
      expect(error.message).toMatch(new RegExp(`^${name}: `));
    }
  });

  it.each([
    PASSWORD,
    `vizard:${PASSWORD}@db.example:5432/logins`,
    `${PASSWORD}://db.example/logins`,
    `mysql://vizard:${PASSWORD}@db.example/logins`,
    `http://vizard:${PASSWORD}@db.example/logins`,
    `postgres//vizard:${PASSWORD}@db.example/logins`,
    `postgres://vizard:${PASSWORD}@db.example:70000/logins`,
    `postgres://vizard:${PASSWORD}#x@db.example/logins`,
    `postgres://vizard:${PASSWORD}@db example/logins`,
    `"postgres://vizard:${PASSWORD}@db.example/logins"`,
    `host=db.example user=vizard password=${PASSWORD}`,
  ])('names DATABASE_URL and hides it where it is no Postgres URL: %s', (value) => {
    const error = errorOf({ ...GOOD, DATABASE_URL: value });

    expect(error).toBeInstanceOf(ConfigError);
    expect(error.message).toMatch(/^DATABASE_URL: /);
    expectOneLineWithout(error, 'sentinel');
  });

  it.each(['none', 'Recoverable', ' recoverable', 'recoverable,irreversible', 'constructor', 'sentinel'])(
    'names MASKING and hides it where it is %j',
    (value) => {
      const error = errorOf({ ...GOOD, MASKING: value });

      expect(error).toBeInstanceOf(ConfigError);
      expect(error.message).toMatch(/^MASKING: expected recoverable or irreversible, /);
      expectOneLineWithout(error, 'sentinel');
    },
  );

  it.each([
    ['text that is not JSON', MATERIAL, 'JSON'],
    ['JSON that is cut off', `{"primary":"k1","k1":"${MATERIAL}`, 'JSON'],
    ['a text', JSON.stringify(MATERIAL), 'a string'],
    ['an array', JSON.stringify([MATERIAL]), 'an array'],
    ['a number', '5', 'a number'],
    ['null', 'null', 'null'],
    ['no primary', keysetJson({ k1: MATERIAL }), 'member "primary"'],
    ['a primary that is no text', keysetJson({ primary: 1, k1: MATERIAL }), 'member "primary"'],
    ['a primary without a key', keysetJson({ primary: 'k9', k1: MATERIAL }), 'member "primary"'],
    [
      'material in the place of the primary',
      keysetJson({ primary: MATERIAL, k1: MATERIAL }),
      'member "primary"',
    ],
    ['no key at all', keysetJson({ primary: 'k1' }), 'member "primary"'],
    ['short material', keysetJson({ primary: 'k1', k1: 'sentinel' }), 'member "k1"'],
    ['material that is no text', keysetJson({ primary: 'k1', k1: ['sentinel'] }), 'member "k1"'],
    ['material that is null', keysetJson({ primary: 'k1', k1: MATERIAL, k2: null }), 'member "k2"'],
    ['material with a lone surrogate', keysetJson({ primary: 'k1', k1: `${MATERIAL}\ud800` }), 'member "k1"'],
    [
      'material in the place of a name',
      keysetJson({ primary: 'k1', k1: MATERIAL, [MATERIAL]: 'k2' }),
      'member (a name of',
    ],
    ['a member of a name like __proto__', `{"primary":"k1","__proto__":"${MATERIAL}"}`, 'member (a name of'],
  ])('names the member of MASKING_KEYSET and hides material where it has %s', (_, value, named) => {
    const error = errorOf({ ...GOOD, MASKING_KEYSET: value });

    expect(error).toBeInstanceOf(KeysetError);
    expect(error.message).toMatch(/^MASKING_KEYSET: /);
    expect(error.message).toContain(named);
    expectOneLineWithout(error, 'sentinel');
  });
});

describe('a database and a keyset on AWS', () => {
  const IAM = {
    kind: 'iam',
    host: ON_AWS.DATABASE_HOST,
    port: 5432,
    database: 'logins',
    user: 'vizard_writer',
    region: 'eu-central-1',
  };

  it('are read', () => {
    expect(readConfig(ON_AWS)).toEqual({
      database: IAM,
      keyset: { kind: 'secret', arn: SECRET_ARN, region: 'eu-central-1' },
      masking: 'recoverable',
      further: { ipNetwork: false },
    });
  });

  it('may be given by name, as emulators do', () => {
    const { keyset } = readConfig({ ...ON_AWS, MASKING_KEYSET_SECRET_ARN: 'Vizard-KeysetSecret-1A2B' });

    expect(keyset).toMatchObject({ kind: 'secret', arn: 'Vizard-KeysetSecret-1A2B' });
  });

  it('take another port', () => {
    expect(readConfig({ ...ON_AWS, DATABASE_PORT: '6432' }).database).toEqual({ ...IAM, port: 6432 });
  });

  it.each([
    ['DATABASE_HOST', ''],
    ['DATABASE_NAME', ''],
    ['DATABASE_USER', ''],
    ['AWS_REGION', ''],
    ['AWS_REGION', 'sentinel'],
    ['DATABASE_PORT', '0'],
    ['DATABASE_PORT', '65536'],
    ['DATABASE_PORT', '5432sentinel'],
    ['DATABASE_HOST', 'postgres://sentinel'],
    ['DATABASE_HOST', 'sentinel:5432'],
    ['MASKING_KEYSET_SECRET_ARN', 'a sentinel'],
    ['MASKING_KEYSET_SECRET_ARN', 'arn:aws:s3:::sentinel'],
    ['MASKING_KEYSET_SECRET_ARN', `${SECRET_ARN} `],
  ])('name %s and hide it where it is %j', (name, value) => {
    const error = errorOf({ ...ON_AWS, [name]: value });

    expect(error).toBeInstanceOf(ConfigError);
    // Without a host there is nothing to say which of the two ways was meant.
    expect(error.message).toContain(`${name}`);
    expectOneLineWithout(error, 'sentinel');
  });

  it.each([
    ['DATABASE_HOST', { ...GOOD, DATABASE_HOST: 'sentinel' }],
    ['DATABASE_PORT', { ...GOOD, DATABASE_PORT: 'sentinel' }],
    ['DATABASE_NAME', { ...GOOD, DATABASE_NAME: 'sentinel' }],
    ['DATABASE_USER', { ...GOOD, DATABASE_USER: 'sentinel' }],
    ['DATABASE_SECRET_ARN', { ...GOOD, DATABASE_SECRET_ARN: 'sentinel' }],
    ['MASKING_KEYSET', { ...ON_AWS, MASKING_KEYSET: 'sentinel' }],
  ])('refuse %s beside what excludes it', (name, env) => {
    const error = errorOf(env);

    expect(error).toBeInstanceOf(ConfigError);
    expect(error.message).toMatch(new RegExp(`^${name}: expected nothing because `));
    expectOneLineWithout(error, 'sentinel');
  });

  it('need a keyset, in one way or the other', () => {
    const error = errorOf({ ...ON_AWS, MASKING_KEYSET_SECRET_ARN: '' });

    expect(error.message).toBe(
      'MASKING_KEYSET: expected a value, got nothing; set it or MASKING_KEYSET_SECRET_ARN',
    );
  });
});

describe('the database of the migration', () => {
  const SECRET = { DATABASE_SECRET_ARN: SECRET_ARN, AWS_REGION: 'eu-central-1' };

  it('is that of its URL, or of a user who logs in by IAM', () => {
    expect(readMigrationDatabase(GOOD)).toEqual({ kind: 'url', url: URL_TEXT });
    expect(readMigrationDatabase(ON_AWS)).toMatchObject({ kind: 'iam', user: 'vizard_writer' });
  });

  it('may be one that RDS manages', () => {
    const arn = 'arn:aws:secretsmanager:eu-central-1:000000000000:secret:rds!cluster-0a1b2c3d-Ab12Cd';

    expect(readMigrationDatabase({ ...SECRET, DATABASE_SECRET_ARN: arn })).toMatchObject({ arn });
  });

  it("is that of the administrator's secret", () => {
    expect(readMigrationDatabase(SECRET)).toEqual({
      kind: 'secret',
      arn: SECRET_ARN,
      region: 'eu-central-1',
    });
  });

  it('is where the variables say, before what the secret says', () => {
    const place = { DATABASE_HOST: 'db.example', DATABASE_PORT: '6432', DATABASE_NAME: 'logins' };

    expect(readMigrationDatabase({ ...SECRET, ...place })).toMatchObject({
      host: 'db.example',
      port: 6432,
      database: 'logins',
    });
  });

  it.each(['DATABASE_URL', 'DATABASE_USER'])('excludes %s where it is a secret', (name) => {
    expect(() => readMigrationDatabase({ ...SECRET, [name]: URL_TEXT })).toThrow(
      `${name}: expected nothing because DATABASE_SECRET_ARN is set, got a value; unset one`,
    );
  });

  it('names what is missing', () => {
    expect(() => readMigrationDatabase({})).toThrow(
      'DATABASE_URL: expected a value, got nothing; set it, or DATABASE_HOST for a database on AWS',
    );
    expect(() => readMigrationDatabase({ ...SECRET, AWS_REGION: '' })).toThrow(/^AWS_REGION: /);
  });
});

it.each(['eu-central-1', 'us-gov-west-1', 'ap-southeast-5', 'us-iso-east-1'])(
  'takes %s for a region',
  (region) => {
    expect(readRegion({ AWS_REGION: region })).toBe(region);
  },
);

describe('a setting from elsewhere', () => {
  it('is named as it is called there', () => {
    expect(() => parseDatabaseUrl(PASSWORD, '--database')).toThrow(/^--database: /);
    expect(() => parseMasking('none', '--masking')).toThrow(/^--masking: /);
  });

  it.each([URL_TEXT, 'postgresql://localhost/logins', 'postgres://u@[::1]:5432/db?sslmode=verify-full'])(
    'is accepted as it is: %s',
    (url) => {
      expect(parseDatabaseUrl(url, 'url')).toBe(url);
      expect(readMigrationDatabase({ DATABASE_URL: url })).toEqual({ kind: 'url', url });
    },
  );
});

function inlineKeyset({ keyset }: Config): Keyset {
  if (keyset.kind !== 'inline') throw new Error('not inline');
  return keyset.keyset;
}

/** The error with which an environment is refused. */
function errorOf(env: Readonly<Record<string, string | undefined>>): VizardError {
  try {
    readConfig(env);
  } catch (error) {
    if (error instanceof VizardError) return error;
    throw error;
  }
  throw new Error('accepted');
}

function expectOneLineWithout(error: VizardError, sentinel: string): void {
  expect(error.message).not.toContain('\n');
  expect(inspect(error, { depth: null, showHidden: true })).not.toContain(sentinel);
}

function keysetJson(members: Readonly<Record<string, unknown>>): string {
  return JSON.stringify(members);
}
