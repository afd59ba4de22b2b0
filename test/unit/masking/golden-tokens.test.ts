/**
 * Tokens that stand in tables: were one to change, new rows would no longer join with old ones. The oracles made
 * those of golden-tokens.json, not the masker, and they must never be made again.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { isMasked, type MaskedColumn, type TableDeclaration } from '../../../lambda/events/declaration.ts';
import { fieldParser } from '../../../lambda/events/fields.ts';
import { loginEvents } from '../../../lambda/events/login-event.ts';
import { proveKey } from '../../../lambda/masking/key-proof.ts';
import { type Keyset, parseKeyset } from '../../../lambda/masking/keyset.ts';
import { columnMasker, unmask } from '../../../lambda/masking/masker.ts';
import { fromHex, hex, hexAll, sampleBytes } from './bytes.ts';
import { irreversibleToken, recoverableToken } from './oracles.ts';

interface Golden {
  readonly name: string;
  readonly column: string;
  /** As an event has it. */
  readonly text: string;
  /** Its canonical bytes, in hex. */
  readonly canonical: string;
  /** Of every key, in both schemes. */
  readonly tokens: readonly string[];
}

interface GoldenFile {
  /** Material by kid. */
  readonly keys: Readonly<Record<string, string>>;
  /** Proofs by kid. */
  readonly proofs: Readonly<Record<string, string>>;
  readonly values: readonly Golden[];
}

const { keys, proofs, values } = JSON.parse(
  readFileSync(new URL('golden-tokens.json', import.meta.url), 'utf8'),
) as GoldenFile;

const declaration: TableDeclaration = loginEvents;
const columns = declaration.columns.filter(isMasked);
const kids = Object.keys(keys);
const keysetOf = (primary: string): Keyset => parseKeyset(JSON.stringify({ primary, ...keys }));

const maskings = [
  { masking: 'recoverable', scheme: 's1', oracle: recoverableToken },
  { masking: 'irreversible', scheme: 'h1', oracle: irreversibleToken },
] as const;

const all = columns.flatMap((column) =>
  kids.flatMap((kid) => maskings.map((masking) => ({ column, name: column.column, kid, ...masking }))),
);

type Mask = (values: readonly (Uint8Array | null)[]) => (string | null)[];

interface Known {
  readonly value: Uint8Array;
  readonly token: string;
}

/** The values of a column with their tokens of one key and scheme. */
function knownOf(column: MaskedColumn, prefix: string): Known[] {
  return values
    .filter((golden) => golden.column === column.column)
    .map(({ canonical, tokens }) => ({
      value: fromHex(canonical),
      token: tokens.find((token) => token.startsWith(`${prefix}~`))!,
    }));
}

describe('the canonical bytes behind the tokens', () => {
  it.each(values)('of $name are what they always were', ({ column: name, text, canonical }) => {
    const column = columns.find((masked) => masked.column === name)!;

    expect(hex(fieldParser(column)(text) as Uint8Array)).toBe(canonical);
  });
});

describe.each(all)('the $masking tokens of $name by key $kid', ({ column, kid, masking, scheme, oracle }) => {
  const keyset = keysetOf(kid);
  const masker = columnMasker(keyset, masking, column);
  const mask: Mask = (batch) => [...masker(batch)];
  const known = knownOf(column, `${scheme}~${kid}`);
  const tokens = known.map(({ token }) => token);

  it('are what they always were', () => {
    expect(known.map(({ value }) => mask([value])[0])).toEqual(tokens);
  });

  it('are what other code makes of the same design', () => {
    expect(known.map(({ value }) => oracle({ kid, material: keys[kid]! }, column, value))).toEqual(tokens);
  });

  it('do not depend on those beside them, in a batch of two', () => {
    for (const a of known) for (const b of known) expectKnown(mask, [a, b]);
  });

  it.each([511, 512, 513])('do not depend on those beside them, in a batch of %i', (size) => {
    const batch = Array.from({ length: size }, (_, i) => known[i % known.length]!);

    expectKnown(mask, batch);
    expectKnown(mask, batch.toReversed());
  });

  it('do not depend on other values and missing ones between them', () => {
    const spread = known.flatMap(({ value }, i) => [sampleBytes(16, i), value, null]);

    expect(mask(spread).filter((_, i) => i % 3 === 1)).toEqual(tokens);
  });

  it(scheme === 's1' ? 'open to the values' : 'open to nobody', () => {
    // Any key of the keyset may be primary by then.
    const opened = hexAll(unmask(keysetOf(kids.at(-1)!), column, tokens));
    expect(opened).toEqual(known.map(({ value }) => (scheme === 's1' ? hex(value) : undefined)));
  });
});

function expectKnown(mask: Mask, batch: readonly Known[]): void {
  expect(mask(batch.map(({ value }) => value))).toEqual(batch.map(({ token }) => token));
}

describe.each(kids)('the proof of key %s', (kid) => {
  it('is what it always was', () => {
    expect(proveKey(keysetOf(kid))).toEqual({ kid, proof: proofs[kid] });
  });

  it('is what other code makes of the same design', () => {
    const column: MaskedColumn = { column: '', source: [], type: 'text', mask: { domain: 'key_proof' } };

    expect(irreversibleToken({ kid, material: keys[kid]! }, column, Buffer.from('vizard'))).toBe(proofs[kid]);
  });
});
