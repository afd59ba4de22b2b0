import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addKey,
  keysAbove,
  nextKid,
  promoteKey,
  retireKey,
  shredKey,
  statusOf,
  topLayer,
} from '../../../bin/keys/keyset-edit.ts';
import { VizardError } from '../../../lambda/errors.ts';
import { parseKeyset } from '../../../lambda/masking/keyset.ts';

const M1 = 'CANARY-ONE'.padEnd(43, '1');
const M2 = 'CANARY-TWO'.padEnd(43, '2');
const M3 = 'CANARY-THREE'.padEnd(43, '3');
const NOW = new Date('2026-11-22T10:00:00.000Z');
const keyset = (members: Record<string, string> = {}) =>
  JSON.stringify({ primary: 'k1', k1: M1, ...members });
const TWO = keyset({ k2: M2, 'k2.added': NOW.toISOString() });
const LAYERED = keyset({ primary: 'k3', k2: M2, k3: M3, 'k2.over': 'k1', 'k3.over': 'k2' });
const never = new Set<string>();

describe('a change of a keyset', () => {
  it('adds a key that is not primary, with the time', () => {
    expect(addKey(keyset(), { kid: 'k2', material: M2, now: NOW })).toBe(TWO);
  });

  it('adds none over another of its name', () => {
    expect(() => addKey(TWO, { kid: 'k2', material: M3, now: NOW })).toThrow(
      'key "k2": the keyset has it already',
    );
  });

  it('promotes a key and layers it in one text', () => {
    const promoted = parseKeyset(promoteKey(TWO, { kid: 'k2', over: 'k1' }));

    expect(promoted.primary).toBe('k2');
    expect(promoted.facts('k2')).toEqual({ added: NOW.toISOString(), over: 'k1' });
  });

  it('never changes what a key is layered over when it is promoted again', () => {
    const promoted = parseKeyset(promoteKey(LAYERED, { kid: 'k2', over: undefined }));

    expect(promoted.facts('k2').over).toBe('k1');
  });

  it('retires a key and keeps its material', () => {
    const retired = parseKeyset(retireKey(LAYERED, { kid: 'k1', now: NOW }));

    expect(retired.facts('k1')).toEqual({ retired: NOW.toISOString() });
    expect(retired.derive('s1', 'k1')).toEqual(parseKeyset(LAYERED).derive('s1', 'k1'));
  });

  it('shreds a key with all that is said of it and over it', () => {
    const shredded = shredKey(retireKey(LAYERED, { kid: 'k1', now: NOW }), 'k1');

    expect(shredded).not.toContain('CANARY-ONE');
    expect(shredded).not.toContain('k1');
    expect(parseKeyset(shredded).facts('k3').over).toBe('k2');
  });

  it.each([
    ['the primary key away', () => shredKey(TWO, 'k1')],
    ['to a key that is not there', () => promoteKey(TWO, { kid: 'k9', over: undefined })],
    ['to a layer that leads back', () => promoteKey(LAYERED, { kid: 'k1', over: 'k3' })],
    ['of what is no keyset', () => retireKey('{"primary":', { kid: 'k1', now: NOW })],
    ['to material that is too short', () => addKey(TWO, { kid: 'k3', material: 'x', now: NOW })],
  ])('is refused where no function could read it: %s', (_, change) => {
    expect(change).toThrow(expect.objectContaining({ message: expect.not.stringContaining('CANARY') }));
  });

  it('leaves every other member as it is, and where it is', () => {
    const kids = fc.uniqueArray(fc.stringMatching(/^[a-z][a-z0-9]{0,7}$/), { minLength: 3, maxLength: 8 });
    fc.assert(
      fc.property(kids, fc.boolean(), (names, newline) => {
        const [primary = '', target = ''] = names.filter((name) => name !== 'primary');
        const members = names
          .filter((name) => name !== 'primary')
          .flatMap((name) => [
            [name, `${name}~"\u00e4\\`.padEnd(43, '-')],
            [`${name}.added`, NOW.toISOString()],
          ]);
        const text = `${JSON.stringify({ ...Object.fromEntries(members), primary })}${newline ? '\n' : ''}`;
        const expected = Object.entries(JSON.parse(text) as object).filter(
          ([name]) => name !== target && !name.startsWith(`${target}.`),
        );

        const added = addKey(shredKey(text, target), { kid: target, material: M1, now: NOW });

        expect(Object.entries(JSON.parse(added) as object)).toEqual([
          ...expected,
          [target, M1],
          [`${target}.added`, NOW.toISOString()],
        ]);
        expect(added.endsWith('\n')).toBe(newline);
      }),
    );
  });
});

describe('the name of the next key', () => {
  it.each([
    [['k1'], 'k2'],
    [['k1', 'k9', 'k10'], 'k11'],
    [['main', 'k'], 'k1'],
    // Shredded ones count: the table knows them.
    [['k3', 'k1', 'k7'], 'k8'],
    [['k1', 'k9999998'], 'k9999999'],
  ])('after %s is %s', (used, expected) => {
    expect(nextKid(used)).toBe(expected);
  });

  it.each([[['k9999999']], [['k1', 'k9999999', 'k2']]])('after %s has to be given, in one line', (used) => {
    expect(() => nextKid(used)).toThrow(
      new VizardError(
        'name of the new key: expected room for a k<number> after all that were used, got k9999999, the last there is; name the key: vizard keys add <kid>',
      ),
    );
  });
});

describe('the life of a key', () => {
  it.each([
    { status: 'primary', kid: 'k1', text: TWO, written: [] },
    { status: 'new', kid: 'k2', text: TWO, written: ['k1'] },
    { status: 'old', kid: 'k2', text: TWO, written: ['k1', 'k2'] },
    // It was promoted, or another was promoted over it, before a function wrote with it.
    { status: 'old', kid: 'k2', text: LAYERED, written: [] },
    { status: 'old', kid: 'k1', text: LAYERED, written: [] },
    { status: 'retired', kid: 'k1', text: retireKey(LAYERED, { kid: 'k1', now: NOW }), written: ['k1'] },
  ])('is $status: $kid', ({ status, kid, text, written }) => {
    expect(statusOf(parseKeyset(text), kid, new Set(written))).toBe(status);
  });

  it.each([
    { what: 'the primary one', text: TWO, top: 'k1' },
    { what: 'the primary one over others', text: LAYERED, top: 'k3' },
    {
      what: 'the highest above a key that was promoted again',
      text: promoteKey(LAYERED, { kid: 'k1', over: undefined }),
      top: 'k3',
    },
  ])('lays a new key over $what', ({ text, top }) => {
    expect(topLayer(parseKeyset(text))).toBe(top);
  });

  it('knows every key that is layered over one', () => {
    expect(keysAbove(parseKeyset(LAYERED), 'k1').toSorted()).toEqual(['k2', 'k3']);
    expect(keysAbove(parseKeyset(LAYERED), 'k3')).toEqual([]);
    expect(statusOf(parseKeyset(LAYERED), 'k3', never)).toBe('primary');
  });
});
