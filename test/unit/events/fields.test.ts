import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Column } from '../../../lambda/events/declaration.ts';
import { type FieldValue, fieldParser } from '../../../lambda/events/fields.ts';
import { loginEvents } from '../../../lambda/events/login-event.ts';
import { type FieldCode, FieldError } from '../../../lambda/events/rejection.ts';

const REQUIRED = ['user_id', 'device_type', 'ip', 'device_id', 'app_version'];
const FIELDS = [...REQUIRED, 'locale'];
const EMOJI = '\u{1f600}';
const MAX_INT32 = 2_147_483_647;

describe('every field of a login event', () => {
  it.each(REQUIRED)('%s must be there', (field) => {
    expect(outcome(field, undefined)).toEqual({ refused: 'missing' });
    expect(outcome(field, null)).toEqual({ refused: 'missing' });
  });

  it.each(combine(FIELDS, [0, 5, -0, 1.5, true, false, {}, [], ['x'], { length: 1 }]))(
    '%s refuses %j, which is no text',
    (field, value) => {
      expect(outcome(field, value)).toEqual({ refused: 'type' });
    },
  );

  it.each(
    combine(FIELDS, ['\0', 'a\0b', '2.3.0\0', '\ud800', 'a\udc00', '\udc00\ud800', '203.0.113.7\ud83d']),
  )('%s refuses %j, which Postgres would refuse or change', (field, value) => {
    expect(outcome(field, value)).toEqual({ refused: 'text' });
  });

  it.each(
    combine(
      ['user_id', 'device_type', 'device_id', 'app_version'],
      ['', ' ', '\t\r\n', '\u00a0\u3000\ufeff'],
    ),
  )('%s refuses %j as empty', (field, value) => {
    expect(outcome(field, value)).toEqual({ refused: 'empty' });
  });

  it.each(FIELDS)('%s refuses with an error that does not hold the value', (field) => {
    const sentinel = 'sentinel-203.0.113.7\0';

    expect(() => fieldParser(columnOf(field))(sentinel)).toThrow(
      expect.toSatisfy(
        (error: unknown) => error instanceof FieldError && !everythingOf(error).includes('sentinel'),
      ),
    );
  });
});

describe('plain text', () => {
  it.each(['user_id', 'device_type', 'locale'])('%s is stored as it is', (field) => {
    for (const value of ['x', ' padded ', 'A\u030a', '\\N', 'a\tb\n', EMOJI, 'None', "'; --"]) {
      expect(outcome(field, value)).toBe(value);
    }
  });

  it.each([
    ['user_id', 128],
    ['device_type', 32],
    ['locale', 32],
  ])('%s takes %i code points and not one more, however many UTF-16 units they are', (field, limit) => {
    for (const character of ['x', 'ä', '\uffff', EMOJI]) {
      const longest = character.repeat(limit);

      expect(outcome(field, longest)).toBe(longest);
      expect(outcome(field, longest + character)).toEqual({ refused: 'too_long' });
    }
  });

  it('is accepted exactly when it has 1 to 128 code points', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 260 }), (text) => {
        const clean = text.replaceAll('\0', '');
        const length = [...clean].length;
        const expected = clean.trim() === '' ? 'empty' : length > 128 ? 'too_long' : undefined;

        expect(outcome('user_id', clean)).toEqual(expected === undefined ? clean : { refused: expected });
      }),
      { numRuns: 200 },
    );
  });
});

describe('an optional field', () => {
  it.each([undefined, null])('is NULL where there is %j', (value) => {
    expect(outcome('locale', value)).toBeNull();
  });

  it.each(['', ' ', 'None', 'null', 'NULL', '\\N'])('keeps the text %j', (value) => {
    expect(outcome('locale', value)).toBe(value);
  });

  it('is NULL where nothing is, masked or not', () => {
    const columns: Column[] = [
      { column: 'a', source: ['a'], type: 'address', mask: { domain: 'a' }, optional: true },
      { column: 'b', source: ['b'], type: 'text', mask: { domain: 'b' }, optional: true },
      { column: 'c', source: ['c'], type: 'version', optional: true },
    ];

    expect(columns.flatMap((column) => [fieldParser(column)(null), fieldParser(column)(undefined)])).toEqual(
      Array(6).fill(null),
    );
  });
});

describe('an address', () => {
  it('is its 16 canonical bytes', () => {
    expect(hexOf('ip', ' ::FFFF:203.0.113.7 ')).toBe('00000000000000000000ffffcb007107');
  });

  it.each(['', ' ', 'localhost', '203.0.113.256', 'fe80::1%eth0'])('refuses %j', (value) => {
    expect(outcome('ip', value)).toEqual({ refused: 'format' });
  });
});

describe('masked text', () => {
  it('is the UTF-8 of its trimmed composed form', () => {
    const composed = 'Zo\u00eb\u212b';
    const decomposed = ' \tZoe\u0308A\u030a\n';

    expect(hexOf('device_id', composed)).toBe(Buffer.from('Zo\u00eb\u00c5', 'utf8').toString('hex'));
    expect(hexOf('device_id', decomposed)).toBe(hexOf('device_id', composed));
  });

  it.each([
    ['upper and lower case', 'device', 'Device'],
    ['white space inside', 'a b', 'a  b'],
    ['compatibility characters', 'ﬁ', 'fi'],
    ['full-width digits', '1', '１'],
  ])('keeps %s apart', (_, one, other) => {
    expect(hexOf('device_id', one)).not.toBe(hexOf('device_id', other));
  });

  it.each([
    ['159 ASCII characters', true, 'x'.repeat(159)],
    ['160 ASCII characters', false, 'x'.repeat(160)],
    ['79 two-byte characters and one more byte', true, `${'ä'.repeat(79)}x`],
    ['80 two-byte characters', false, 'ä'.repeat(80)],
    ['53 three-byte characters', true, '\u4e2d'.repeat(53)],
    ['54 three-byte characters', false, '\u4e2d'.repeat(54)],
    ['39 four-byte characters and three bytes', true, `${EMOJI.repeat(39)}xyz`],
    ['40 four-byte characters', false, EMOJI.repeat(40)],
    ['159 bytes between white space', true, ` ${'x'.repeat(159)} `],
    ['79 decomposed pairs that compose to 158 bytes', true, 'a\u0308'.repeat(79)],
    ['80 decomposed pairs that compose to 160 bytes', false, 'a\u0308'.repeat(80)],
    ['14 characters that decompose when composed', true, '\ufb2c'.repeat(14)],
    ['27 characters that grow to 162 bytes when composed', false, '\ufb2c'.repeat(27)],
    ['a megabyte', false, 'x'.repeat(1 << 20)],
  ])('%s: fits is %s', (_, fits, value) => {
    const result = outcome('device_id', value);

    if (fits) expect(result).toBeInstanceOf(Uint8Array);
    else expect(result).toEqual({ refused: 'too_long' });
  });

  it('has one canonical form, which is its own canonical form', () => {
    fc.assert(
      fc.property(texts, (text) => {
        const canonical = outcome('device_id', text);
        fc.pre(canonical instanceof Uint8Array);

        expect(outcome('device_id', Buffer.from(canonical).toString('utf8'))).toEqual(canonical);
      }),
      { numRuns: 200 },
    );
  });

  it('is the same however the text was composed and whatever white space stands around it', () => {
    fc.assert(
      fc.property(texts, fc.stringMatching(/^[ \t\r\n]{0,3}$/), (text, space) => {
        const expected = outcome('device_id', text);

        expect(outcome('device_id', text.normalize('NFC'))).toEqual(expected);
        expect(outcome('device_id', text.normalize('NFD'))).toEqual(expected);
        expect(outcome('device_id', space + text + space)).toEqual(expected);
      }),
      { numRuns: 200 },
    );
  });

  it('has at most 159 bytes whatever is accepted', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 30, maxLength: 170 }), (text) => {
        const result = outcome('device_id', text);
        const bytes = Buffer.byteLength(text.trim().normalize('NFC'));

        expect(result instanceof Uint8Array ? result.length : result).toEqual(
          bytes === 0 ? { refused: 'empty' } : bytes > 159 ? { refused: 'too_long' } : bytes,
        );
      }),
      { numRuns: 200 },
    );
  });
});

describe('a version', () => {
  it.each([
    ['2.3.0', 2_003_000],
    ['2.3', 2_003_000],
    ['v2.3.0', 2_003_000],
    ['2.3.0+build5', 2_003_000],
    ['2.3+2024-05-01.a', 2_003_000],
    ['002.003.000', 2_003_000],
    ['6.02', 6_002_000],
    ['6.2', 6_002_000],
    ['6.20', 6_020_000],
    ['2.00', 2_000_000],
    ['0.96', 96_000],
    ['5', 5_000_000],
    ['v5', 5_000_000],
    ['0', 0],
    ['0.0.0', 0],
    ['0.0.1', 1],
    ['1.999.999', 1_999_999],
    ['1.0000999', 1_999_000],
    ['2147', 2_147_000_000],
    ['2147.483.647', MAX_INT32],
  ])('%s is %i', (text, code) => {
    expect(outcome('app_version', text)).toBe(code);
  });

  it.each([
    '2147.483.648',
    '2147.484',
    '2148.0.0',
    '2148',
    '1.1000.0',
    '1.0.1000',
    '1.1000',
    '0.0.999999',
    '9007199254740993',
  ])('%s is out of range', (text) => {
    expect(outcome('app_version', text)).toEqual({ refused: 'range' });
  });

  it.each([
    'x',
    'v',
    'V2.3.0',
    'vv1',
    '1.2.3.4',
    '1..2',
    '1.',
    '.1',
    '1.2.',
    '-1.0',
    '+1.0',
    '1.-2',
    '1e3',
    '0x10',
    '1,2',
    '1.2.x',
    '1.2.3-beta',
    '1.2.3+',
    '1.2.3+a b',
    '1.2.3+ä',
    '+build',
    ' 1.0',
    '1.0 ',
    '1.0\n',
    '1. 0',
    '１.２',
    '1.٢',
    'None',
  ])('refuses %j', (text) => {
    expect(outcome('app_version', text)).toEqual({ refused: 'format' });
  });

  it('is out of range where a part is too large for any number', () => {
    expect(outcome('app_version', '9'.repeat(400))).toEqual({ refused: 'range' });
    expect(outcome('app_version', `1.${'9'.repeat(400)}`)).toEqual({ refused: 'range' });
    expect(outcome('app_version', `0.0.${'9'.repeat(400)}`)).toEqual({ refused: 'range' });
  });

  it('refuses a megabyte of digits or dots quickly', { timeout: 2000 }, () => {
    expect(outcome('app_version', '1'.repeat(1 << 20))).toEqual({ refused: 'range' });
    expect(outcome('app_version', '1.'.repeat(1 << 19))).toEqual({ refused: 'format' });
    expect(outcome('app_version', `1+${'a'.repeat(1 << 20)}!`)).toEqual({ refused: 'format' });
  });

  it('becomes an integer that sorts as versions do', () => {
    fc.assert(
      fc.property(versions, versions, (a, b) => {
        const compared = outcome('app_version', a.join('.'));
        const against = outcome('app_version', b.join('.'));

        expect(Math.sign(Number(compared) - Number(against))).toBe(compareVersions(a, b));
      }),
      { numRuns: 400 },
    );
  });

  it('is the same integer with a leading v, leading zeros, a build or without trailing zero parts', () => {
    fc.assert(
      fc.property(
        versions,
        fc.boolean(),
        fc.nat(3),
        fc.constantFrom('', '+5', '+b.1-x'),
        (version, v, zeros, build) => {
          const expected = outcome('app_version', version.join('.'));
          const padded = version.map((part) => '0'.repeat(zeros) + part).join('.');
          const short = version.join('.').replace(/(\.0){1,2}$/, '');

          expect(outcome('app_version', `${v ? 'v' : ''}${padded}${build}`)).toBe(expected);
          expect(outcome('app_version', short)).toBe(expected);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('is an integer of Postgres or refused, whatever the text', () => {
    const parts = fc.string({ unit: fc.constantFrom(...'0123456789.v+ -xe'), maxLength: 16 });

    fc.assert(
      fc.property(parts, (text) => {
        const result = outcome('app_version', text);

        expect(isRefusal(result) || (Number.isInteger(result) && isInt32(result))).toBe(true);
      }),
      { numRuns: 400 },
    );
  });
});

interface Refusal {
  readonly refused: FieldCode;
}

/** What became of a value: the field's value, or the code with which it was refused. */
function outcome(field: string, value: unknown): FieldValue | Refusal {
  try {
    return fieldParser(columnOf(field))(value);
  } catch (error) {
    if (error instanceof FieldError) return { refused: error.code };
    throw error;
  }
}

function isRefusal(result: FieldValue | Refusal): result is Refusal {
  return typeof result === 'object' && result !== null && 'refused' in result;
}

function isInt32(value: FieldValue | Refusal): boolean {
  return typeof value === 'number' && value >= 0 && value <= MAX_INT32;
}

/** Hex of the canonical bytes of an accepted value. */
function hexOf(field: string, value: string): string {
  const result = outcome(field, value);
  expect(result).toBeInstanceOf(Uint8Array);
  return Buffer.from(result as Uint8Array).toString('hex');
}

function columnOf(field: string): Column {
  const column = loginEvents.columns.find(({ source }) => source[0] === field);
  if (column === undefined) throw new Error(`no column for ${field}`);
  return column;
}

/** All that a log could show of an error. */
function everythingOf(error: Error): string {
  return JSON.stringify([error.message, error.stack, error.name, { ...error }, String(error.cause)]);
}

function combine<T>(fields: readonly string[], values: readonly T[]): [string, T][] {
  return fields.flatMap((field) => values.map((value): [string, T] => [field, value]));
}

/** Text with what normalization changes: combining marks, Hangul, singletons, exotic spaces. */
const texts = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'binary', maxLength: 4 }),
      fc.string({ unit: 'grapheme', maxLength: 4 }),
      fc.constantFrom(
        '\u0301',
        '\u0323',
        'e',
        '\u00e9',
        '\u212a',
        '\u2000',
        '\u1100\u1161',
        '\ufb2c',
        ' ',
        '\ufeff',
      ),
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.join(''));

type Version = readonly [major: number, minor: number, patch: number];

const versions: fc.Arbitrary<Version> = fc.tuple(fc.nat(2146), fc.nat(999), fc.nat(999));

function compareVersions(a: Version, b: Version): number {
  const differing = a.findIndex((part, i) => part !== b[i]);
  return differing === -1 ? 0 : Math.sign(a[differing]! - b[differing]!);
}
