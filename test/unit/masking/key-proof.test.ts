import { describe, expect, it } from 'vitest';
import type { MaskedColumn } from '../../../lambda/events/declaration.ts';
import { proveKey } from '../../../lambda/masking/key-proof.ts';
import { parseKeyset } from '../../../lambda/masking/keyset.ts';
import { irreversibleToken } from './oracles.ts';

const K1 = { kid: 'k1', material: 'a'.repeat(43) };
const K2 = { kid: 'k2', material: 'b'.repeat(43) };
const keyset = (primary: string, k1 = K1.material) =>
  parseKeyset(JSON.stringify({ primary, k1, k2: K2.material }));

/** It stands in tables: were it to change, no key would pass for the one that wrote them. The oracle made it. */
const PROOF = { kid: 'k1', proof: 'h1~k1~8yqM3X5c2dXb8Jo1Ze-t0RBLitq6rJnrRZQXMeIW6NQ' };

describe('the proof of a key', () => {
  it('is what it always was', () => {
    expect(proveKey(keyset('k1'))).toEqual(PROOF);
  });

  it('is what other code makes of the same design', () => {
    const column: MaskedColumn = { column: '', source: [], type: 'text', mask: { domain: 'key_proof' } };

    expect(irreversibleToken(K1, column, Buffer.from('vizard'))).toBe(PROOF.proof);
  });

  it('is of the primary key', () => {
    expect(proveKey(keyset('k2'))).toMatchObject({ kid: 'k2' });
  });

  it('is another for other material of the same name', () => {
    const other = proveKey(keyset('k1', `${K1.material.slice(1)}b`));

    expect(other.kid).toBe('k1');
    expect(other.proof).not.toBe(PROOF.proof);
  });
});
