import { describe, expect, it } from 'vitest';
import { isMasked, type TableDeclaration } from '../../../lambda/events/declaration.ts';
import { loginEvents } from '../../../lambda/events/login-event.ts';
import { type EventIdentity, type ParsedChunk, parseBatch } from '../../../lambda/events/parse.ts';
import { proveKey } from '../../../lambda/masking/key-proof.ts';
import { parseKeyset } from '../../../lambda/masking/keyset.ts';
import { tableMasker } from '../../../lambda/masking/table-masker.ts';
import { KEYSET_JSON, record } from '../../support/records.ts';
import { sampleBytes } from './bytes.ts';
import { irreversibleToken, recoverableToken } from './oracles.ts';

const keyset = parseKeyset(KEYSET_JSON);
const K1 = { kid: 'k1', material: 'a'.repeat(43) };
const declaration: TableDeclaration = loginEvents;
const maskings = [
  { masking: 'recoverable', oracle: recoverableToken },
  { masking: 'irreversible', oracle: irreversibleToken },
] as const;

describe('the masker of a table', () => {
  const events: readonly EventIdentity[] = ['a', 'b', 'c'].map((messageId) => ({
    messageId,
    eventId: `00000000-0000-8000-8000-00000000000${messageId}`,
    date: '2023-11-14',
  }));

  /** A chunk as the parser makes it: canonical bytes for masked columns, three rows. */
  function chunk(of: TableDeclaration): ParsedChunk {
    return {
      events,
      columns: of.columns.map((column, i) =>
        isMasked(column)
          ? { kind: 'canonical', values: [sampleBytes(16, i), null, sampleBytes(16, i)] }
          : { kind: 'plain', values: [`plain ${i}`, null, i] },
      ),
      rejected: [],
      repeats: [],
    };
  }

  it.each(maskings)('makes tokens of exactly the columns that the declaration masks, $masking', (row) => {
    const parsed = chunk(declaration);

    const masked = tableMasker(keyset, row.masking, declaration).mask(parsed);

    expect(masked.events).toEqual(events);
    expect(masked.columns.map(({ kind, values }) => ({ kind, values: [...values] }))).toEqual(
      declaration.columns.map((column, i) => {
        if (!isMasked(column)) return parsed.columns[i];
        const token = row.oracle(K1, column, sampleBytes(16, i));
        return { kind: 'masked', values: [token, null, token] };
      }),
    );
  });

  it('heeds the scheme that a column fixes', () => {
    const mixed: TableDeclaration = {
      ...declaration,
      columns: declaration.columns.map((column) =>
        column.type === 'address' ? { ...column, mask: { domain: 'ip', policy: 'irreversible' } } : column,
      ),
    };

    const masked = tableMasker(keyset, 'recoverable', mixed).mask(chunk(mixed));

    const schemes = masked.columns.map(({ kind, values }) =>
      kind === 'masked' ? values.at(0)?.slice(0, 2) : kind,
    );
    expect(schemes).toEqual(['plain', 'plain', 'h1', 's1', 'plain', 'plain']);
  });

  it('makes no tokens of a column that is erased', () => {
    const erased: TableDeclaration = {
      ...declaration,
      columns: declaration.columns.map((column) =>
        column.type === 'address' ? { ...column, mask: { policy: 'erase' } } : column,
      ),
    };
    const [parsed] = parseBatch(erased, [record()]);

    const masked = tableMasker(keyset, 'recoverable', erased).mask(parsed!);

    expect(masked.columns[2]).toEqual({ kind: 'plain', values: [null] });
    expect(masked.columns[3]).toMatchObject({ kind: 'masked' });
  });

  it('comes with the proof of its key', () => {
    const { keys } = tableMasker(keyset, 'recoverable', declaration);

    expect(keys).toEqual([proveKey(keyset)]);
  });

  it('takes a chunk without events', () => {
    const empty: ParsedChunk = {
      events: [],
      columns: declaration.columns.map((column) => ({
        kind: isMasked(column) ? 'canonical' : 'plain',
        values: [],
      })),
      rejected: [],
      repeats: [],
    };
    const masked = tableMasker(keyset, 'recoverable', declaration).mask(empty);
    expect(masked.columns.flatMap<unknown>(({ values }) => [...values])).toEqual([]);
  });
});

describe('a declaration', () => {
  const address = { column: 'a', source: ['a'], type: 'address', mask: { domain: 'x' } } as const;
  const text = { column: 'b', source: ['b'], type: 'text', mask: { domain: 'x' } } as const;

  it('whose address and text share a domain is refused, because their tokens could be equal', () => {
    const declaration = { ...loginEvents, columns: [address, text] };

    expect(() => tableMasker(keyset, 'recoverable', declaration)).toThrow(
      'columns a and b: expected one type in domain x, got address and text',
    );
  });

  it('whose network shares the domain of an address is refused, because it begins with one', () => {
    const network = { ...address, column: 'n', mask: { domain: 'x', policy: 'network' } } as const;

    for (const columns of [
      [address, network],
      [network, address],
    ]) {
      expect(() => tableMasker(keyset, 'recoverable', { ...loginEvents, columns })).toThrow(
        /^columns [an] and [an]: expected one type in domain x, got (address and network|network and address)$/,
      );
    }
    const columns = [network, { ...network, column: 'm' }];
    expect(() => tableMasker(keyset, 'recoverable', { ...loginEvents, columns })).not.toThrow();
  });

  it.each(['', 'a\0b', "x'", 'é'])('whose domain is %j is refused', (domain) => {
    const declaration = { ...loginEvents, columns: [{ ...text, mask: { domain } }] };

    expect(() => tableMasker(keyset, 'recoverable', declaration)).toThrow(
      'column b: expected a domain of letters a-z, digits and _, a letter first',
    );
  });

  it('whose domain is that of the proofs is refused, because a value could pass for one', () => {
    const declaration = { ...loginEvents, columns: [{ ...text, mask: { domain: 'key_proof' } }] };

    expect(() => tableMasker(keyset, 'recoverable', declaration)).toThrow(
      'column b: expected another domain than key_proof, which is that of the proofs of keys',
    );
  });
});
