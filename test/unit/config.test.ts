import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { parseDatabaseUrl, parseMasking, readConfig, readDatabaseUrl } from '../../lambda/config.ts';
import { ConfigError, KeysetError, VizardError } from '../../lambda/errors.ts';
import { KEYSET_JSON } from '../support/records.ts';

const PASSWORD = 'sentinelpassword';
const MATERIAL = `sentinel-material-${'m'.repeat(43)}`;
const URL_TEXT = `postgres://vizard:${PASSWORD}@db.example:5432/logins`;

const GOOD = { DATABASE_URL: URL_TEXT, MASKING_KEYSET: KEYSET_JSON };

describe('readConfig', () => {
  it('reads all variables', () => {
    const config = readConfig({ ...GOOD, MASKING: 'irreversible' });

    expect(config.databaseUrl).toBe(URL_TEXT);
    expect(config.keyset.primary).toBe('k1');
    expect(config.keyset.kids).toEqual(['k1', 'k2']);
    expect(config.masking).toBe('irreversible');
  });

  it.each([undefined, '', 'recoverable'])('masks recoverably where MASKING is %j', (masking) => {
    expect(readConfig({ ...GOOD, MASKING: masking }).masking).toBe('recoverable');
  });

  it('gives a value that nobody can change', () => {
    const config = readConfig(GOOD);

    expect([config, config.keyset, config.keyset.kids].map((part) => Object.isFrozen(part))).toEqual([
      true,
      true,
      true,
    ]);
  });

  it('gives a keyset that does not show its material', () => {
    const { keyset } = readConfig({
      ...GOOD,
      MASKING_KEYSET: JSON.stringify({ primary: 'k1', k1: MATERIAL }),
    });

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

describe('a setting from elsewhere', () => {
  it('is named as it is called there', () => {
    expect(() => parseDatabaseUrl(PASSWORD, '--database')).toThrow(/^--database: /);
    expect(() => parseMasking('none', '--masking')).toThrow(/^--masking: /);
  });

  it.each([URL_TEXT, 'postgresql://localhost/logins', 'postgres://u@[::1]:5432/db?sslmode=verify-full'])(
    'is accepted as it is: %s',
    (url) => {
      expect(parseDatabaseUrl(url, 'url')).toBe(url);
      expect(readDatabaseUrl({ DATABASE_URL: url })).toBe(url);
    },
  );
});

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
