import { describe, expect, it } from 'vitest';
import type {
  AddressColumn,
  MaskedTextColumn,
  TableDeclaration,
} from '../../../lambda/events/declaration.ts';
import { parseKeyset } from '../../../lambda/masking/keyset.ts';
import { columnMasker } from '../../../lambda/masking/masker.ts';
import { openValues } from '../../../lambda/masking/open-tokens.ts';
import { createSealer, type Sealing } from '../../../lambda/masking/sealer.ts';
import { createSealerMemory } from '../../../lambda/masking/sealer-memory.ts';
import { openContentKey } from '../../../lambda/masking/sealing.ts';
import { KEYSET_JSON } from '../../support/records.ts';
import { createKeyPair } from '../../support/recovery-key.ts';
import { hex, sampleBytes, sampleText } from './bytes.ts';

const keys = createKeyPair();
const keyset = parseKeyset(KEYSET_JSON);

const text: MaskedTextColumn = { column: 't', source: ['t'], type: 'text', mask: { domain: 'device_id' } };
const never: MaskedTextColumn = {
  ...text,
  column: 'n',
  mask: { domain: 'never', policy: 'irreversible' },
};
const network: AddressColumn = {
  column: 'w',
  source: ['w'],
  type: 'address',
  mask: { domain: 'ip_network', policy: 'network' },
};
const declaration: TableDeclaration = {
  table: 'things',
  columns: [text, never, network],
  repeats: { view: 'v', count: 'c', subject: 't', subjects: 's' },
};

/** Adds values of a column as the masker of the table does. @returns their tokens */
function add(sealing: Sealing, index: number, values: readonly (Uint8Array | null)[]): (string | null)[] {
  const column = [text, never, network][index]!;
  const tokens = columnMasker(keyset, 'irreversible', column)(values);
  sealing.add(index, values, tokens);
  return [...tokens];
}

function open({ sealed }: Sealing, column: MaskedTextColumn | AddressColumn): Map<string, string> {
  const key = openContentKey(keys.privateKey, sealed.sealedKey!)!;
  const values = openValues(
    key,
    column,
    [...sealed.values.values()].map((value) => value.sealed),
  );
  return new Map([...sealed.values.keys()].map((token, i) => [token, hex(values[i]!)]));
}

describe('one pass over a batch', () => {
  const [a, b] = [sampleText(20, 'a'), sampleText(20, 'b')] as const;

  it('seals each value once, by its token, and nothing for NULL', () => {
    const sealing = createSealer(declaration, 'irreversible', keys.recoveryKey, createSealerMemory()).begin();
    const first = add(sealing, 0, [a, null, b, a]);
    const second = add(sealing, 0, [b, null]);
    sealing.end();

    expect(open(sealing, text)).toEqual(
      new Map([
        [first[0], hex(a)],
        [first[2], hex(b)],
      ]),
    );
    expect(second).toEqual([first[2], null]);
    expect(sealing.sealed.recipient).toBe(keys.recoveryKey.fingerprint);
  });

  it('has a content key of its own, and none where there is nothing to seal', () => {
    const sealer = createSealer(declaration, 'irreversible', keys.recoveryKey, createSealerMemory());
    const passes = [1, 2, 3].map(() => sealer.begin());
    for (const [i, sealing] of passes.entries()) {
      add(sealing, 0, i < 2 ? [a] : [null]);
      sealing.end();
    }

    const contentKeys = passes.map(
      ({ sealed }) => sealed.sealedKey && openContentKey(keys.privateKey, sealed.sealedKey),
    );
    expect(hex(contentKeys[0]!)).not.toBe(hex(contentKeys[1]!));
    expect(contentKeys[2]).toBeUndefined();
    const sealed = passes
      .slice(0, 2)
      .map((pass) => [...pass.sealed.values.values()].map((value) => hex(value.sealed)));
    expect(sealed[0]).not.toEqual(sealed[1]);
  });

  it('has destroyed its content key when it has ended', () => {
    const sealing = createSealer(declaration, 'irreversible', keys.recoveryKey, createSealerMemory()).begin();
    add(sealing, 0, [a]);
    sealing.end();
    const [late] = add(sealing, 0, [b]);

    const key = openContentKey(keys.privateKey, sealing.sealed.sealedKey!)!;
    expect(openValues(key, text, [sealing.sealed.values.get(late!)!.sealed])).toEqual([undefined]);
  });

  it('seals nothing that is known to be in the vault', () => {
    const memory = createSealerMemory();
    const sealer = createSealer(declaration, 'irreversible', keys.recoveryKey, memory);
    const first = sealer.begin();
    const [token] = add(first, 0, [a]);
    memory.add([token!]);
    const second = sealer.begin();
    add(second, 0, [a, b]);

    expect([...open(second, text).values()]).toEqual([hex(b)]);
  });

  it('seals networks, and nothing of a column that is declared irreversible', () => {
    const sealing = createSealer(declaration, 'irreversible', keys.recoveryKey, createSealerMemory()).begin();
    add(sealing, 1, [a]);
    const [token] = add(sealing, 2, [sampleBytes(16, 'network')]);

    expect([...open(sealing, network)]).toEqual([[token, hex(sampleBytes(16, 'network'))]]);
  });
});

describe('a column whose tokens can be recovered', () => {
  it.each([
    [
      'by its declaration',
      { ...text, mask: { domain: 'device_id', policy: 'recoverable' } } as const,
      'irreversible' as const,
    ],
    ['by the configuration', text, 'recoverable' as const],
  ])('%s is refused, and named', (_name, column, masking) => {
    const columns = { ...declaration, columns: [column] };

    expect(() => createSealer(columns, masking, keys.recoveryKey, createSealerMemory())).toThrow(
      /^column t: expected irreversible tokens where values are sealed, got recoverable ones[^\n]*$/,
    );
  });
});
