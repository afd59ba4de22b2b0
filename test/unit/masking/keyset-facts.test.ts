import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KeysetError } from '../../../lambda/errors.ts';
import { parseKeyset } from '../../../lambda/masking/keyset.ts';
import { hex } from './bytes.ts';
import { KIDS, MATERIALS } from './layers.ts';

const ADDED = '2026-11-22T10:00:00.000Z';
const RETIRED = '2026-12-01T09:30:00+02:00';
const SENTINEL = 'SENTINEL-'.repeat(5).slice(0, 43);

const keysetOf = (facts: Record<string, unknown>) =>
  parseKeyset(JSON.stringify({ primary: 'k2', ...MATERIALS, ...facts }));

describe('the facts of a key', () => {
  it('are what the keyset says of it, and nothing where it says nothing', () => {
    const keyset = keysetOf({ 'k2.added': ADDED, 'k2.over': 'k1', 'k1.retired': RETIRED });

    expect(KIDS.map((kid) => keyset.facts(kid))).toEqual([
      { retired: RETIRED },
      { added: ADDED, over: 'k1' },
      {},
      {},
    ]);
  });

  it('are of no key that the keyset does not have', () => {
    expect(() => keysetOf({}).facts('k9')).toThrow(new KeysetError('keyset: has no key "k9"'));
  });

  it('are no keys, and change none', () => {
    const plain = keysetOf({});
    const told = keysetOf({ 'k2.added': ADDED, 'k2.over': 'k1', 'k1.retired': RETIRED });

    expect([told.primary, told.kids]).toEqual([plain.primary, plain.kids]);
    for (const kid of KIDS) expect(hex(told.derive('h1', kid))).toBe(hex(plain.derive('h1', kid)));
  });

  it('may stand before the key that they are of', () => {
    const json = JSON.stringify({ 'k1.added': ADDED, k1: MATERIALS.k1, primary: 'k1' });

    expect(parseKeyset(json).facts('k1')).toEqual({ added: ADDED });
  });

  it('cannot be altered by whoever reads them', () => {
    const keyset = keysetOf({ 'k2.over': 'k1' });

    for (const kid of ['k2', 'k3']) {
      const facts = keyset.facts(kid) as Record<string, string>;
      try {
        facts.over = 'k4';
      } catch (error) {
        expect(error).toBeInstanceOf(TypeError);
      }
    }

    expect([keyset.facts('k2'), keyset.facts('k3')]).toEqual([{ over: 'k1' }, {}]);
  });
});

describe('a keyset is refused in one line that names the member', () => {
  it.each<[string, Record<string, unknown>, string]>([
    [
      'a fact of a key that is not there',
      { 'k9.added': ADDED },
      'member "k9.added": expected <key>.added, <key>.over or <key>.retired of a key that is there',
    ],
    [
      'a fact that there is none of',
      { 'k1.colour': 'red' },
      'member (a name of 9 characters): expected <key>.',
    ],
    ['a fact without a name', { 'k1.': 'x' }, 'member (a name of 3 characters): expected <key>.'],
    ['a fact of no key', { '.added': ADDED }, 'member (a name of 6 characters): expected <key>.'],
    ['a fact of the primary', { 'primary.added': ADDED }, 'member "primary.added": expected <key>.'],
    ['a fact of a fact', { 'k1.added.over': 'k2' }, 'member (a name of 13 characters): expected <key>.'],
    [
      'material for the name of a fact',
      { [`${SENTINEL}.added`]: ADDED },
      'member (a name of 49 characters): expected <key>.',
    ],
    ['a fact that is no text', { 'k1.added': 5 }, 'member "k1.added" expected a string, got a number'],
    ['a fact that is null', { 'k2.over': null }, 'member "k2.over" expected a string, got null'],
    [
      'a time that is none',
      { 'k1.added': SENTINEL },
      'member "k1.added" expected a time like 2026-01-31T12:00:00Z, got 43 other characters',
    ],
    ['a date without time', { 'k1.retired': '2026-11-22' }, 'member "k1.retired" expected a time like'],
    [
      'a month that is none',
      { 'k1.added': '2026-13-01T00:00:00Z' },
      'member "k1.added" expected a time like',
    ],
    ['a time in words', { 'k1.added': 'Sun, 22 Nov 2026' }, 'member "k1.added" expected a time like'],
    [
      'a key below that is not there',
      { 'k2.over': 'k9' },
      'member "k2.over" expected one of [k1, k2, k3, k4], got "k9"',
    ],
    [
      'material for the key below',
      { 'k2.over': SENTINEL },
      'member "k2.over" expected one of [k1, k2, k3, k4], got (a name of 43 characters)',
    ],
    [
      'a key over itself',
      { 'k2.over': 'k2' },
      'member "k2.over" leads back to "k2": no key may lie below itself',
    ],
    [
      'two keys over each other',
      { 'k2.over': 'k3', 'k3.over': 'k2' },
      'member "k2.over" leads back to "k2": no key may lie below itself',
    ],
    [
      'a circle below a key that is not in it',
      { 'k1.over': 'k2', 'k2.over': 'k3', 'k3.over': 'k4', 'k4.over': 'k2' },
      'leads back to "k2": no key may lie below itself',
    ],
  ])('with %s', (_name, facts, message) => {
    const error = refusal(facts);

    expect(error.message.startsWith('keyset: ')).toBe(true);
    expect(error.message).toContain(message);
    expect(error.message).not.toContain('\n');
    expect(inspect(error, { depth: 10, showHidden: true })).not.toMatch(/SENTINEL/);
  });

  it('exactly where its layers come to no end', () => {
    const below = fc.option(fc.constantFrom(...KIDS), { nil: undefined });
    fc.assert(
      fc.property(fc.tuple(below, below, below, below), (layers) => {
        const over = new Map(KIDS.map((kid, i) => [kid, layers[i]]));
        // After as many steps as there are keys, whoever is still on the way goes round in a circle.
        const isEndless = KIDS.some((kid) => {
          let at: (typeof KIDS)[number] | undefined = kid;
          for (let step = 0; step < KIDS.length && at !== undefined; step++) at = over.get(at);
          return at !== undefined;
        });
        const facts = KIDS.flatMap((kid, i) => (layers[i] === undefined ? [] : [[`${kid}.over`, layers[i]]]));

        const parse = () => keysetOf(Object.fromEntries(facts) as Record<string, string>);

        if (isEndless) expect(parse).toThrow(/no key may lie below itself/);
        else expect(parse).not.toThrow();
      }),
      { numRuns: 300 },
    );
  });
});

function refusal(facts: Record<string, unknown>): KeysetError {
  try {
    keysetOf(facts);
  } catch (error) {
    if (error instanceof KeysetError) return error;
  }
  throw new Error('expected a KeysetError, got none');
}
