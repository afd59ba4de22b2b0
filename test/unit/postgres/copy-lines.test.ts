import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loginEvents } from '../../../lambda/events/login-event.ts';
import type { EventIdentity } from '../../../lambda/events/parse.ts';
import { parseKeyset } from '../../../lambda/masking/keyset.ts';
import { columnMasker } from '../../../lambda/masking/masker.ts';
import type { StorableChunk, StorableColumn } from '../../../lambda/masking/table-masker.ts';
import { copyLines, copyStatement } from '../../../lambda/postgres/copy.ts';
import { KEYSET_JSON } from '../../support/records.ts';

const DATE = '2023-11-14';

describe('copyStatement', () => {
  it('names the columns in the order in which copyLines writes them', () => {
    expect(copyStatement(loginEvents)).toBe(
      'COPY user_logins (user_id, device_type, masked_ip, masked_device_id, locale, app_version, create_date, event_id) FROM STDIN',
    );
  });
});

describe('copyLines', () => {
  it('writes the columns of a row, then its date and its event id', () => {
    const [token] = tokensOf(['593-47-5928']);
    const lines = copyLines(
      chunk([
        { kind: 'plain', values: ['u1'] },
        { kind: 'masked', values: [token!] },
        { kind: 'plain', values: [2_003_000] },
      ]),
    );

    expect(lines).toBe(`u1\t${token}\t2003000\t${DATE}\t${idOf(0)}\n`);
  });

  it.each([
    ['a backslash', 'a\\b', 'a\\\\b'],
    ['a tab', 'a\tb', 'a\\tb'],
    ['a newline', 'a\nb', 'a\\nb'],
    ['a carriage return', 'a\rb', 'a\\rb'],
    ['the two characters of NULL', '\\N', '\\\\N'],
    ['the two characters that end the data', '\\.', '\\\\.'],
    ['an escape that is text already', '\\t\\n', '\\\\t\\\\n'],
    ['several of them', '\\\t\n\r\\', '\\\\\\t\\n\\r\\\\'],
  ])('escapes %s', (_, value, expected) => {
    expect(fieldOf(value)).toBe(expected);
  });

  it.each(['', ' ', 'None', 'null', 'NULL', 'N', '"quoted"', "it's", '\u2028', '\u{1f600}', '\b\f\v'])(
    'leaves %j as it is',
    (value) => {
      expect(fieldOf(value)).toBe(value);
    },
  );

  it('writes NULL as \\N in plain and in masked columns', () => {
    const lines = copyLines(
      chunk([
        { kind: 'plain', values: [null] },
        { kind: 'masked', values: [null] },
      ]),
    );

    expect(lines).toBe(`\\N\t\\N\t${DATE}\t${idOf(0)}\n`);
  });

  it.each([0, -1, 2_147_483_647])('writes the number %i in digits', (value) => {
    expect(fieldOf(value)).toBe(String(value));
  });

  it('writes one line a row in the order of the rows', () => {
    const lines = copyLines(chunk([{ kind: 'plain', values: ['a', 'b', null] }]));

    expect(lines).toBe(`a\t${DATE}\t${idOf(0)}\nb\t${DATE}\t${idOf(1)}\n\\N\t${DATE}\t${idOf(2)}\n`);
  });

  it('writes only the rows to include', () => {
    const columns: StorableColumn[] = [
      { kind: 'plain', values: ['a', 'b', 'c'] },
      { kind: 'masked', values: tokensOf(['x', 'y', 'z']) },
    ];

    expect(copyLines(chunk(columns), (row) => row !== 1)).toBe(
      copyLines(chunk(columns))
        .split(/(?<=\n)/)
        .filter((_, row) => row !== 1)
        .join(''),
    );
    expect(copyLines(chunk(columns), () => false)).toBe('');
  });

  it('writes nothing for a chunk without rows', () => {
    expect(copyLines({ events: [], columns: [{ kind: 'plain', values: [] }] })).toBe('');
  });

  it('does not change the chunk', () => {
    const storable = chunk([{ kind: 'plain', values: ['a\tb', null, 5] }]);
    const before = structuredClone(storable);

    copyLines(storable);

    expect(storable).toEqual(before);
  });

  it('is read back as exactly the values that were written', () => {
    const text = fc.string({ unit: fc.constantFrom(...'\\\t\n\r\b\f\vN.tnrx0 é\u2028\u{1f600}') });
    const value = fc.option(text);
    const rows = fc.array(fc.tuple(value, value), { maxLength: 10 });

    fc.assert(
      fc.property(rows, (values) => {
        const lines = copyLines(
          chunk([0, 1].map((i) => ({ kind: 'plain', values: values.map((row) => row[i]!) }))),
        );

        expect(readCopy(lines)).toEqual(values.map(([a, b], row) => [a, b, DATE, idOf(row)]));
      }),
      { numRuns: 200 },
    );
  });
});

/** The line's first field, of a chunk of one plain value. */
function fieldOf(value: string | number): string {
  const lines = copyLines(chunk([{ kind: 'plain', values: [value] }]));
  const end = `\t${DATE}\t${idOf(0)}\n`;
  expect(lines.endsWith(end)).toBe(true);
  return lines.slice(0, -end.length);
}

/** COPY's text format as the server reads it: https://www.postgresql.org/docs/current/sql-copy.html */
function readCopy(lines: string): (string | null)[][] {
  const escapes: Readonly<Record<string, string>> = { t: '\t', n: '\n', r: '\r', '\\': '\\' };
  return lines
    .split('\n')
    .slice(0, -1)
    .map((line) =>
      line
        .split('\t')
        .map((field) =>
          field === '\\N' ? null : field.replace(/\\(.)/gs, (_, char: string) => escapes[char] ?? char),
        ),
    );
}

function tokensOf(texts: readonly string[]) {
  const mask = columnMasker(parseKeyset(KEYSET_JSON), 'recoverable', loginEvents.columns[3]);
  return mask(texts.map((text) => Buffer.from(text)));
}

function chunk(columns: readonly StorableColumn[]): StorableChunk {
  const events = columns[0]!.values.map(
    (_, row): EventIdentity => ({
      messageId: `message-${row}`,
      eventId: idOf(row),
      date: DATE,
      redelivered: false,
    }),
  );
  return { events, columns };
}

function idOf(row: number): string {
  return `00000000-0000-4000-8000-${String(row).padStart(12, '0')}`;
}
