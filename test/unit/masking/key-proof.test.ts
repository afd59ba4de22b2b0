import { describe, expect, it } from 'vitest';
import type { MaskedColumn, TableDeclaration } from '../../../lambda/events/declaration.ts';
import { loginEvents } from '../../../lambda/events/login-event.ts';
import { proveKey, proveKeys, proveLayers, provenKey } from '../../../lambda/masking/key-proof.ts';
import { parseKeyset } from '../../../lambda/masking/keyset.ts';
import { irreversibleToken } from './oracles.ts';

const K1 = { kid: 'k1', material: 'a'.repeat(43) };
const K2 = { kid: 'k2', material: 'b'.repeat(43) };
const keyset = (primary: string, k1 = K1.material, facts = {}) =>
  parseKeyset(JSON.stringify({ primary, k1, k2: K2.material, ...facts }));
const OVER = { 'k2.over': 'k1' };
const COLUMN: MaskedColumn = { column: '', source: [], type: 'text', mask: { domain: 'key_proof' } };

/** It stands in tables: were it to change, no key would pass for the one that wrote them. The oracle made it. */
const PROOF = { kid: 'k1', proof: 'h1~k1~8yqM3X5c2dXb8Jo1Ze-t0RBLitq6rJnrRZQXMeIW6NQ' };

describe('the proof of a key', () => {
  it('is what it always was', () => {
    expect(proveKey(keyset('k1'))).toEqual(PROOF);
  });

  it('is what other code makes of the same design', () => {
    expect(irreversibleToken(K1, COLUMN, Buffer.from('vizard'))).toBe(PROOF.proof);
  });

  it('is of the primary key', () => {
    expect(proveKey(keyset('k2'))).toMatchObject({ kid: 'k2' });
  });

  it('is another for other material of the same name', () => {
    const other = proveKey(keyset('k1', `${K1.material.slice(1)}b`));

    expect(other.kid).toBe('k1');
    expect(other.proof).not.toBe(PROOF.proof);
  });

  it('is of that key alone, whatever it is layered over', () => {
    expect(proveKey(keyset('k2', K1.material, OVER))).toEqual(proveKey(keyset('k2')));
  });

  it('is to be had of keys that are not primary', () => {
    expect(proveKey(keyset('k2'), 'k1')).toEqual(PROOF);
    expect(() => proveKey(keyset('k2'), 'k3')).toThrow('has no key "k3"');
  });
});

describe('the proof of the layers of a key', () => {
  it('is the irreversible token of the token below', () => {
    const below = Buffer.from(PROOF.proof);

    expect(proveLayers(keyset('k2', K1.material, OVER), 'k2')).toEqual({
      kid: 'h1~k2',
      proof: irreversibleToken(K2, COLUMN, below),
    });
  });

  it('is the proof of the key where nothing lies below', () => {
    expect(proveLayers(keyset('k1'), 'k1').proof).toBe(PROOF.proof);
  });

  it('is another when the layer below is lost, or is of another key', () => {
    const proofs = [
      keyset('k2', K1.material, OVER),
      keyset('k2'),
      keyset('k2', 'c'.repeat(43), OVER),
      keyset('k2', K1.material, { k3: 'd'.repeat(43), 'k2.over': 'k3' }),
    ].map((layered) => proveLayers(layered, 'k2').proof);

    expect(new Set(proofs).size).toBe(4);
  });

  it('has a name that no key can have', () => {
    const { kid } = proveLayers(keyset('k1'), 'k1');

    expect(() => parseKeyset(JSON.stringify({ primary: kid, [kid]: K1.material }))).toThrow();
    expect([kid, 'k1'].map(provenKey)).toEqual([
      { kid: 'k1', layered: true },
      { kid: 'k1', layered: false },
    ]);
  });
});

describe('a table is proved', () => {
  const layered = keyset('k2', K1.material, OVER);
  const fixed = (policy: 'recoverable' | 'irreversible'): TableDeclaration => ({
    ...loginEvents,
    columns: [{ column: 'a', source: ['a'], type: 'text', mask: { domain: 'a', policy } }],
  });

  it.each([
    { table: loginEvents, masking: 'recoverable', kids: ['k2'] },
    { table: loginEvents, masking: 'irreversible', kids: ['k2', 'h1~k2'] },
    { table: fixed('irreversible'), masking: 'recoverable', kids: ['k2', 'h1~k2'] },
    { table: fixed('recoverable'), masking: 'irreversible', kids: ['k2'] },
  ] as const)('by its layers too where a column of it is irreversible: $kids', ({ table, masking, kids }) => {
    expect(proveKeys(layered, masking, table).map(({ kid }) => kid)).toEqual(kids);
  });
});
