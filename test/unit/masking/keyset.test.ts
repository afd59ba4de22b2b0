import { hkdfSync } from 'node:crypto';
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { KeysetError } from '../../../lambda/errors.ts';
import { parseKeyset, type Scheme } from '../../../lambda/masking/keyset.ts';
import { hex } from './bytes.ts';

/** Key material of these tests; no message may hold any part of it. */
const MATERIAL = 'SENTINEL-'.repeat(5).slice(0, 43);
const OTHER_MATERIAL = 'SENTINEL+'.repeat(8);
const TRACES = /sentinel|8675309|[\ud800-\udfff]/iu;

const SCHEMES: readonly { scheme: Scheme; length: number }[] = [
  { scheme: 's1', length: 64 },
  { scheme: 'h1', length: 32 },
];

describe('a keyset', () => {
  const json = JSON.stringify({
    k1: MATERIAL,
    primary: 'k2',
    k2: OTHER_MATERIAL,
    a: 'é'.repeat(43),
    abcdefg8: MATERIAL,
  });

  it('names its primary key and all its keys', () => {
    const keyset = parseKeyset(json);
    expect(keyset.primary).toBe('k2');
    expect(keyset.kids).toEqual(['k1', 'k2', 'a', 'abcdefg8']);
  });

  it.each(SCHEMES)(
    'derives $length bytes for $scheme by HKDF-SHA-256 of the material',
    ({ scheme, length }) => {
      const keyset = parseKeyset(json);
      const materials = { k1: MATERIAL, k2: OTHER_MATERIAL, a: 'é'.repeat(43), abcdefg8: MATERIAL };
      for (const [kid, material] of Object.entries(materials)) {
        const derived = keyset.derive(scheme, kid);
        const expected = hkdfSync('sha256', Buffer.from(material), '', `vizard:${scheme}:${kid}`, length);
        expect(hex(derived)).toBe(hex(new Uint8Array(expected)));
      }
    },
  );

  it('derives another key for every scheme and kid, even of the same material', () => {
    const kids = ['k', 'k1', 'k11', 'k2', 's1k1'];
    const keyset = parseKeyset(
      JSON.stringify({ primary: 'k1', ...Object.fromEntries(kids.map((kid) => [kid, MATERIAL])) }),
    );
    // The first 32 bytes: a longer output of the same HKDF would begin with a shorter one.
    const derived = kids.flatMap((kid) =>
      SCHEMES.map(({ scheme }) => hex(keyset.derive(scheme, kid).subarray(0, 32))),
    );
    expect(new Set(derived).size).toBe(kids.length * 2);
  });

  it('derives the same key every time, in bytes that are the caller’s own', () => {
    const keyset = parseKeyset(json);
    const before = hex(keyset.derive('s1', 'k1'));
    keyset.derive('s1', 'k1').fill(0);
    expect(hex(keyset.derive('s1', 'k1'))).toBe(before);
    expect(hex(parseKeyset(json).derive('s1', 'k1'))).toBe(before);
  });

  it('shows no material, whichever way it is printed, and can’t be altered', () => {
    const keyset = parseKeyset(json);
    const printed = [
      inspect(keyset, { depth: 10, showHidden: true }),
      JSON.stringify(keyset),
      String(keyset),
    ];
    for (const text of printed) expect(text).not.toMatch(TRACES);
    expect(Object.isFrozen(keyset)).toBe(true);
    expect(Object.isFrozen(keyset.kids)).toBe(true);
  });

  it.each([
    { name: 'another kid', kid: 'k3', came: '"k3"' },
    { name: 'the member that names the primary key', kid: 'primary', came: '"primary"' },
    { name: 'a member that every object has', kid: 'constructor', came: '11 characters' },
    { name: 'the prototype', kid: '__proto__', came: '9 characters' },
    { name: 'no text', kid: '', came: '0 characters' },
    { name: 'material', kid: MATERIAL, came: '43 characters' },
  ])('has no key for $name', ({ kid, came }) => {
    const keyset = parseKeyset(json);
    for (const { scheme } of SCHEMES) {
      const error = thrownBy(() => keyset.derive(scheme, kid));
      expect(error).toBeInstanceOf(KeysetError);
      expect(error.message).toContain('keyset: has no key');
      expect(error.message).toContain(came);
      expect(inspect(error, { showHidden: true })).not.toMatch(TRACES);
    }
  });
});

describe('a malformed keyset is refused, naming the member, what was expected and what came', () => {
  const object = 'a JSON object like {"primary":"k1","k1":"<material>"}';
  const kidRule = 'a name of 1-8 characters a-z 0-9, a letter first';
  const materialRule = 'at least 43 characters';
  const good = { primary: 'k1', k1: MATERIAL };

  interface Case {
    readonly name: string;
    /** Text as it is; anything else as its JSON. */
    readonly keyset: unknown;
    readonly member?: string;
    readonly expected: string;
    readonly came: string;
  }
  const cases: readonly Case[] = [
    { name: 'no text', keyset: '', expected: object, came: 'not JSON' },
    { name: 'material alone', keyset: MATERIAL, expected: object, came: 'not JSON' },
    {
      name: 'cut off inside the material',
      keyset: JSON.stringify(good).slice(0, -4),
      expected: object,
      came: 'not JSON',
    },
    {
      name: 'cut off after the material',
      keyset: JSON.stringify(good).slice(0, -1),
      expected: object,
      came: 'not JSON',
    },
    { name: 'a comma too many', keyset: `{"k1":"${MATERIAL}",}`, expected: object, came: 'not JSON' },
    {
      name: 'a comma too few',
      keyset: `{"k1":"${MATERIAL}" "primary":"k1"}`,
      expected: object,
      came: 'not JSON',
    },
    { name: 'single quotes', keyset: `{'k1':'${MATERIAL}'}`, expected: object, came: 'not JSON' },
    {
      name: 'material without quotes',
      keyset: `{"primary":"k1","k1":${MATERIAL}}`,
      expected: object,
      came: 'not JSON',
    },
    {
      name: 'material after the end',
      keyset: `${JSON.stringify(good)} ${MATERIAL}`,
      expected: object,
      came: 'not JSON',
    },
    {
      name: 'a name that stands there twice',
      keyset: `{"primary":"k1","k1":"${MATERIAL}","k1":"${'x'.repeat(43)}"}`,
      expected: 'each name once',
      came: 'one that stands there twice',
    },
    {
      name: 'a name that stands there twice, in other letters',
      keyset: `{"primary":"k1","k1":{},"\\u006b1":"${MATERIAL}"}`,
      expected: 'each name once',
      came: 'one that stands there twice',
    },
    { name: 'a string', keyset: JSON.stringify(MATERIAL), expected: object, came: 'a string' },
    {
      name: 'a keyset inside a string',
      keyset: JSON.stringify(JSON.stringify(good)),
      expected: object,
      came: 'a string',
    },
    { name: 'an array', keyset: ['k1', MATERIAL], expected: object, came: 'an array' },
    { name: 'an array of a keyset', keyset: [good], expected: object, came: 'an array' },
    { name: 'null', keyset: null, expected: object, came: 'null' },
    { name: 'a number', keyset: 8675309, expected: object, came: 'a number' },
    { name: 'a boolean', keyset: true, expected: object, came: 'a boolean' },

    { name: 'empty', keyset: {}, member: '"primary"', expected: 'the name of a key', came: 'nothing' },
    {
      name: 'no primary',
      keyset: { k1: MATERIAL },
      member: '"primary"',
      expected: 'the name of a key',
      came: 'nothing',
    },
    {
      name: 'primary null',
      keyset: { ...good, primary: null },
      member: '"primary"',
      expected: 'the name of a key',
      came: 'null',
    },
    {
      name: 'primary a number',
      keyset: { ...good, primary: 8675309 },
      member: '"primary"',
      expected: 'the name of a key',
      came: 'a number',
    },
    {
      name: 'primary an object',
      keyset: { ...good, primary: { k1: MATERIAL } },
      member: '"primary"',
      expected: 'the name of a key',
      came: 'an object',
    },
    {
      name: 'primary an array',
      keyset: { ...good, primary: [MATERIAL] },
      member: '"primary"',
      expected: 'the name of a key',
      came: 'an array',
    },
    {
      name: 'primary names an absent key',
      keyset: { primary: 'k2', k1: MATERIAL, a: MATERIAL },
      member: '"primary"',
      expected: 'one of [k1, a]',
      came: '"k2"',
    },
    {
      name: 'primary and no key',
      keyset: { primary: 'k1' },
      member: '"primary"',
      expected: 'one of []',
      came: '"k1"',
    },
    {
      name: 'primary names itself',
      keyset: { ...good, primary: 'primary' },
      member: '"primary"',
      expected: 'one of [k1]',
      came: '"primary"',
    },
    {
      name: 'primary empty',
      keyset: { ...good, primary: '' },
      member: '"primary"',
      expected: 'one of [k1]',
      came: '0 characters',
    },
    {
      name: 'primary names the prototype',
      keyset: { ...good, primary: '__proto__' },
      member: '"primary"',
      expected: 'one of [k1]',
      came: '9 characters',
    },
    {
      name: 'primary names what every object has',
      keyset: { ...good, primary: 'valueof' },
      member: '"primary"',
      expected: 'one of [k1]',
      came: '"valueof"',
    },
    {
      name: 'primary a lone surrogate',
      keyset: { ...good, primary: '\ud800' },
      member: '"primary"',
      expected: 'one of [k1]',
      came: '1 characters',
    },
    {
      name: 'primary is the material',
      keyset: { ...good, primary: MATERIAL },
      member: '"primary"',
      expected: 'one of [k1]',
      came: '43 characters',
    },

    {
      name: 'name and material changed over',
      keyset: { primary: 'k1', [MATERIAL]: 'k1' },
      member: 'member',
      expected: kidRule,
      came: '43 characters',
    },
    {
      name: 'everything changed over',
      keyset: { k1: 'primary', [MATERIAL]: 'k1' },
      member: '"k1"',
      expected: materialRule,
      came: '7',
    },
    {
      name: 'material for a name, twice',
      keyset: { primary: MATERIAL, [MATERIAL]: MATERIAL },
      member: 'member',
      expected: kidRule,
      came: '43 characters',
    },
    {
      name: 'kid with a capital',
      keyset: { ...good, Key2: MATERIAL },
      member: 'member',
      expected: kidRule,
      came: '4 characters',
    },
    {
      name: 'kid of 9 characters',
      keyset: { ...good, abcdefghi: MATERIAL },
      member: 'member',
      expected: kidRule,
      came: '9 characters',
    },
    {
      name: 'kid with a digit first',
      keyset: { ...good, '1k': MATERIAL },
      member: 'member',
      expected: kidRule,
      came: '2 characters',
    },
    {
      name: 'kid a number',
      keyset: { ...good, 7: MATERIAL },
      member: 'member',
      expected: kidRule,
      came: '1 characters',
    },
    {
      name: 'kid empty',
      keyset: { ...good, '': MATERIAL },
      member: 'member',
      expected: kidRule,
      came: '0 characters',
    },
    {
      name: 'kid with a tilde',
      keyset: { ...good, 'k~1': MATERIAL },
      member: 'member',
      expected: kidRule,
      came: '3 characters',
    },
    {
      name: 'kid and a line break',
      keyset: { ...good, 'k1\n': MATERIAL },
      member: 'member',
      expected: kidRule,
      came: '3 characters',
    },
    {
      name: 'kid a lone surrogate',
      keyset: { ...good, '\ud800': MATERIAL },
      member: 'member',
      expected: kidRule,
      came: '1 characters',
    },
    {
      name: 'kid __proto__',
      keyset: `{"primary":"k1","k1":"${MATERIAL}","__proto__":"${MATERIAL}"}`,
      member: 'member',
      expected: kidRule,
      came: '9 characters',
    },
    {
      name: 'kid __proto__ with a keyset in it',
      keyset: `{"__proto__":${JSON.stringify(good)}}`,
      member: 'member',
      expected: kidRule,
      came: '9 characters',
    },

    {
      name: 'material of 42 characters',
      keyset: { primary: 'k1', k1: MATERIAL.slice(1) },
      member: '"k1"',
      expected: materialRule,
      came: '42',
    },
    {
      name: 'short material of a key that is not primary',
      keyset: { ...good, old: 'SENTINEL' },
      member: '"old"',
      expected: materialRule,
      came: '8',
    },
    {
      name: 'material empty',
      keyset: { primary: 'k1', k1: '' },
      member: '"k1"',
      expected: materialRule,
      came: '0',
    },
    {
      name: 'material a number',
      keyset: { primary: 'k1', k1: 8675309 },
      member: '"k1"',
      expected: materialRule,
      came: 'a number',
    },
    {
      name: 'material an object',
      keyset: { primary: 'k1', k1: { material: MATERIAL } },
      member: '"k1"',
      expected: materialRule,
      came: 'an object',
    },
    {
      name: 'material an array',
      keyset: { primary: 'k1', k1: [MATERIAL] },
      member: '"k1"',
      expected: materialRule,
      came: 'an array',
    },
    {
      name: 'material null',
      keyset: { primary: 'k1', k1: null },
      member: '"k1"',
      expected: materialRule,
      came: 'null',
    },
    {
      name: 'material a boolean',
      keyset: { primary: 'k1', k1: true },
      member: '"k1"',
      expected: materialRule,
      came: 'a boolean',
    },
    {
      name: 'material with a lone surrogate',
      keyset: { primary: 'k1', k1: `${MATERIAL}\ud800` },
      member: '"k1"',
      expected: 'well-formed Unicode',
      came: 'a lone surrogate',
    },
  ];

  it.each(cases)('$name', ({ keyset, member = 'keyset', expected, came }) => {
    const json = typeof keyset === 'string' ? keyset : JSON.stringify(keyset);

    const error = thrownBy(() => parseKeyset(json));

    expect(error).toBeInstanceOf(KeysetError);
    expect(error.message).toMatch(/^keyset: [^\n]+$/);
    expect(error.message).toContain(member);
    expect(error.message).toMatch(/expected/);
    expect(error.message).toContain(expected);
    expect(error.message.replace(expected, '')).toContain(came);
    // The whole error: a cause or a stack would reach a log as well as the message does.
    expect(inspect(error, { depth: 10, showHidden: true })).not.toMatch(TRACES);
  });

  it('is told from a well-formed one', () => {
    expect(parseKeyset(JSON.stringify(good)).primary).toBe('k1');
  });
});

function thrownBy(action: () => unknown): Error {
  try {
    action();
  } catch (error) {
    if (error instanceof Error) return error;
  }
  throw new Error('expected an error, got none');
}
