import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loginEvents } from '../../../lambda/events/login-event.ts';
import type { EventIdentity } from '../../../lambda/events/parse.ts';
import { parseKeyset } from '../../../lambda/masking/keyset.ts';
import { columnMasker } from '../../../lambda/masking/masker.ts';
import type { StorableColumn } from '../../../lambda/masking/table-masker.ts';
import { copyStatement } from '../../../lambda/postgres/write/copy.ts';
import { encodeRows } from '../../../lambda/postgres/write/copy-rows.ts';
import { KEYSET_JSON } from '../../support/records.ts';

const DATE = '2023-11-14';
/** Days from 1 January 2000. */
const DAY = 8718;

describe('copyStatement', () => {
  it('names the columns in the order in which encodeRows writes them', () => {
    expect(copyStatement(loginEvents)).toBe(
      'COPY user_logins (user_id, device_type, masked_ip, masked_device_id, locale, app_version, create_date, event_id) FROM STDIN (FORMAT binary)',
    );
  });
});

describe('encodeRows', () => {
  it('writes the number of fields, the columns of a row, then its date and its event id', () => {
    const rows = encode([
      { kind: 'plain', values: ['u1'] },
      { kind: 'plain', values: [2_003_000] },
      { kind: 'plain', values: [null] },
    ]);

    expect(Buffer.from(rows).toString('hex').match(/../g)?.join(' ')).toBe(
      [
        '00 05',
        '00 00 00 02 75 31',
        '00 00 00 04 00 1e 90 38',
        'ff ff ff ff',
        '00 00 00 04 00 00 22 0e',
        '00 00 00 10 00 00 00 00 00 00 40 00 80 00 00 00 00 00 00 00',
      ].join(' '),
    );
  });

  it('writes a token as its text, and NULL where there is none', () => {
    const texts = ['593-47-5928', '\u00e9', 'x'.repeat(159)].map((text) => Buffer.from(text));
    const mask = columnMasker(parseKeyset(KEYSET_JSON), 'recoverable', loginEvents.columns[3]);
    const tokens = mask([texts[0]!, null, texts[1]!, texts[2]!, null]);

    const rows = decode(encode([{ kind: 'masked', values: tokens }], 5));

    expect(rows.map(([token]) => token?.toString() ?? null)).toEqual([...tokens]);
    expect(rows.map(([token]) => token === null)).toEqual([false, true, false, false, true]);
  });

  it.each([0, 1, -1, 255, 256, 2 ** 31 - 1, -(2 ** 31)])('writes the integer %i', (value) => {
    const [row] = decode(encode([{ kind: 'plain', values: [value] }]));

    expect(row![0]!.readInt32BE()).toBe(value);
  });

  it.each([
    ['1970-01-01', -10_957],
    ['1999-12-31', -1],
    ['2000-01-01', 0],
    ['2000-02-29', 59],
    ['2024-03-01', 8_826],
    ['9999-12-31', 2_921_939],
  ])('writes %s as the day %i', (date, day) => {
    const events = [eventOf(0), eventOf(1), eventOf(2)].map((event, i) =>
      i === 1 ? { ...event, date } : event,
    );

    const rows = decode(encodeRows({ events, columns: [] }));

    expect(rows.map(([days]) => days!.readInt32BE())).toEqual([DAY, day, DAY]);
  });

  it('writes every event id as its sixteen bytes', () => {
    fc.assert(
      fc.property(fc.array(fc.uuid(), { maxLength: 20 }), (ids) => {
        const events = ids.map((eventId, row) => ({ ...eventOf(row), eventId }));

        const rows = decode(encodeRows({ events, columns: [] }));

        expect(rows.map(([, id]) => id!.toString('hex'))).toEqual(ids.map((id) => id.replaceAll('-', '')));
      }),
    );
  });

  it('is read back as exactly the values that were written, whatever room they take', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary' }).filter((value) => value.isWellFormed()),
      fc.string({ unit: fc.constantFrom('\\', '\t', '\n', '\u00ff', '\u2028', '\u{1f600}') }),
      fc.nat(2_000).map((length) => '\u{1f600}'.repeat(length)),
    );
    const values = fc.array(fc.tuple(fc.option(text), fc.option(text)), { maxLength: 10 });

    fc.assert(
      fc.property(values, (rows) => {
        const columns = [0, 1].map(
          (i): StorableColumn => ({
            kind: 'plain',
            values: rows.map((row) => row[i]!),
          }),
        );

        const read = decode(encode(columns, rows.length));

        expect(read.map((row) => row.slice(0, 2).map((field) => field?.toString() ?? null))).toEqual(rows);
      }),
    );
  });

  it('writes only the rows of a range', () => {
    const events = [0, 1, 2, 3].map(eventOf);
    const columns: StorableColumn[] = [{ kind: 'plain', values: ['a', 'b', 'c', 'd'] }];
    const read = (from: number, to?: number) =>
      decode(encodeRows({ events, columns }, from, to)).map(([user, , id]) => [
        `${user}`,
        id!.readInt32BE(12),
      ]);

    expect(read(1, 3)).toEqual([
      ['b', 1],
      ['c', 2],
    ]);
    expect(read(3)).toEqual([['d', 3]]);
  });

  it('is nothing where there are no rows', () => {
    expect(decode(encode([{ kind: 'plain', values: [] }], 0))).toEqual([]);
  });
});

function encode(columns: readonly StorableColumn[], rows = 1): Uint8Array {
  return encodeRows({ events: Array.from({ length: rows }, (_, row) => eventOf(row)), columns });
}

function eventOf(row: number): EventIdentity {
  const eventId = `00000000-0000-4000-8000-${String(row).padStart(12, '0')}`;
  return { messageId: `message-${row}`, eventId, date: DATE };
}

/** Rows as the server reads them: https://www.postgresql.org/docs/current/sql-copy.html, "Tuples". */
function decode(bytes: Uint8Array): (Buffer | null)[][] {
  const buffer = Buffer.from(bytes);
  const rows: (Buffer | null)[][] = [];
  for (let at = 0; at < buffer.length; ) {
    const fields = buffer.readInt16BE(at);
    at += 2;
    rows.push(
      Array.from({ length: fields }, () => {
        const length = buffer.readInt32BE(at);
        const field = length === -1 ? null : buffer.subarray(at + 4, at + 4 + length);
        at += 4 + Math.max(0, length);
        return field;
      }),
    );
  }
  return rows;
}
