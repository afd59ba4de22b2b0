import { createHash } from 'node:crypto';
import type { SQSMessageAttribute, SQSRecord } from 'aws-lambda';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  EVENT_ID_ATTRIBUTE,
  EVENT_TIME_ATTRIBUTE,
  eventId,
  oldestSentTime,
  sentTime,
  utcDate,
  wasReceivedBefore,
} from '../../../lambda/events/identity.ts';
import { type FieldCode, FieldError } from '../../../lambda/events/rejection.ts';
import { record, SENT } from '../../support/records.ts';

const MESSAGE_ID = '0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d';
const PRODUCER_ID = 'F47AC10B-58CC-4372-A567-0E02B2C3D479';

const NO_TEXT: readonly (readonly [string, SQSMessageAttribute])[] = [
  ['binary', { dataType: 'Binary', binaryValue: 'AAEC' }],
  ['empty', { dataType: 'String', stringValue: '' }],
  ['blank', { dataType: 'String', stringValue: ' \t' }],
  ['of no value', { dataType: 'String' }],
];

describe('eventId', () => {
  it('is the message id where the message has no EventId attribute', () => {
    expect(eventId(record({}, { messageId: MESSAGE_ID }))).toBe(MESSAGE_ID);
    expect(eventId(record({}, { messageId: MESSAGE_ID, attributes: { eventid: 'other' } }))).toBe(MESSAGE_ID);
  });

  it.each([
    ['as it is', PRODUCER_ID.toLowerCase()],
    ['in upper case', PRODUCER_ID],
    ['between white space', ` ${PRODUCER_ID}\n`],
  ])('is the UUID of the EventId attribute, %s', (_, text) => {
    expect(eventIdOf(text)).toBe('f47ac10b-58cc-4372-a567-0e02b2c3d479');
  });

  it.each([
    'order-4711',
    'Grüße 🎉',
    'f47ac10b58cc4372a5670e02b2c3d479',
    '{f47ac10b-58cc-4372-a567-0e02b2c3d479}',
    'f47ac10b-58cc-4372-a567-0e02b2c3d47',
    'f47ac10b-58cc-4372-a567-0e02b2c3d479x',
    'g47ac10b-58cc-4372-a567-0e02b2c3d479',
    'x'.repeat(1000),
  ])('of other text is the start of its SHA-256 as a UUID version 8: %s', (text) => {
    expect(eventIdOf(text)).toBe(hashedUuid(text));
  });

  it('of a message id that is no UUID is made the same way', () => {
    expect(eventId(record({}, { messageId: 'message-1' }))).toBe(hashedUuid('message-1'));
  });

  it('is a UUID in lower case that depends on nothing but the trimmed text', () => {
    const anyText = fc.string({ unit: 'grapheme', minLength: 1 }).filter((text) => text.trim() !== '');

    fc.assert(
      fc.property(fc.oneof(anyText, fc.uuid()), (text) => {
        const id = eventIdOf(text);

        expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/);
        expect(eventIdOf(` ${text} `)).toBe(id);
      }),
    );
  });

  it.each(NO_TEXT)('refuses an EventId attribute that is %s', (_, attribute) => {
    expect(refusal(() => eventId(withAttribute(EVENT_ID_ATTRIBUTE, attribute)))).toBe('type');
  });

  it('comes from the message id where the record has no message attributes at all', () => {
    const bare = { ...record({}, { messageId: MESSAGE_ID }), messageAttributes: undefined };

    expect(eventId(bare as unknown as SQSRecord)).toBe(MESSAGE_ID);
  });
});

describe('sentTime', () => {
  it.each([
    ['milliseconds', '1700000000000', SENT],
    ['seconds, as LocalStack 0.14 sends them', '1700000000', SENT],
    ['the last seconds', '99999999999', 99_999_999_999_000],
    ['the first milliseconds', '100000000000', 100_000_000_000],
    ['leading zeros', '0001700000000', SENT],
    ['the start of 1970', '0', 0],
    ['the last millisecond of 9999', '253402300799999', 253_402_300_799_999],
  ])('reads SentTimestamp in %s', (_, sentTimestamp, expected) => {
    expect(sentTime(record({}, { sentTimestamp }))).toBe(expected);
  });

  it.each([
    ['2024-02-29T12:34:56Z', Date.UTC(2024, 1, 29, 12, 34, 56)],
    ['2024-02-29T12:34:56.789Z', Date.UTC(2024, 1, 29, 12, 34, 56, 789)],
    ['2024-02-29T12:34:56.789123456Z', Date.UTC(2024, 1, 29, 12, 34, 56, 789)],
    ['2024-02-29T12:34Z', Date.UTC(2024, 1, 29, 12, 34)],
    ['2024-02-29T23:30:00-01:00', Date.UTC(2024, 2, 1, 0, 30)],
    ['2024-03-01T00:30:00+05:45', Date.UTC(2024, 1, 29, 18, 45)],
    ['2024-02-29', Date.UTC(2024, 1, 29)],
    ['1970-01-01', 0],
    ['9999-12-31T23:59:59.999Z', 253_402_300_799_999],
    ['1600000000000', 1_600_000_000_000],
    [' 2024-02-29 ', Date.UTC(2024, 1, 29)],
  ])('prefers EventTime %s', (text, expected) => {
    expect(sentTimeOf(text)).toBe(expected);
  });

  it('reads EventTime where SentTimestamp is missing', () => {
    const message = record({}, { sentTimestamp: undefined, attributes: { EventTime: '2024-02-29' } });

    expect(sentTime(message)).toBe(Date.UTC(2024, 1, 29));
  });

  it('reads every time of the years 1970 to 9999 that toISOString writes', () => {
    const times = fc.date({ min: new Date(0), max: new Date(253_402_300_799_999), noInvalidDate: true });

    fc.assert(
      fc.property(times, (time) => {
        expect(sentTimeOf(time.toISOString())).toBe(time.getTime());
      }),
    );
  });

  it.each([undefined, ''])(
    'is missing where SentTimestamp is %j and there is no EventTime',
    (sentTimestamp) => {
      expect(refusal(() => sentTime(record({}, { sentTimestamp })))).toBe('missing');
    },
  );

  it('is missing where the record has no attributes at all', () => {
    const bare = { ...record(), attributes: undefined, messageAttributes: undefined };

    expect(refusal(() => sentTime(bare as unknown as SQSRecord))).toBe('missing');
  });

  it.each([
    '2023-02-29',
    '2023-02-31',
    '2023-04-31T10:00:00Z',
    '2024-13-01',
    '2023',
    '20231114',
    '1600000000',
  ])('refuses EventTime %s, which is no day or no number of milliseconds', (text) => {
    expect(refusal(() => sentTimeOf(text))).toBe('format');
  });

  it.each(NO_TEXT)('refuses an EventTime attribute that is %s', (_, attribute) => {
    expect(refusal(() => sentTime(withAttribute(EVENT_TIME_ATTRIBUTE, attribute)))).toBe('type');
  });

  it.each(
    [
      'yesterday',
      'None',
      'Tue, 14 Nov 2023 22:13:20 GMT',
      '14/11/2023',
      '2023-11',
      '20231114T221320Z',
      '2023-11-14T22:13:20',
      '2023-11-14 22:13:20Z',
      '2023-11-14T22Z',
      '2023-11-14T25:00Z',
      '2023-11-14T22:60Z',
      '2023-11-14T22:13:61Z',
      '2023-11-14T22:13:20+99:99',
      '2023-00-14',
      '2023-13-01',
      '2023-11-00',
      '2023-11-32',
      '+010000-01-01T00:00:00Z',
      '-1',
      '1.7e12',
      '1700000000.5',
      '0x18bcfe56800',
      '12345678901234567',
      '１７００００００００',
    ].flatMap(garbageInBoth),
  )('refuses %s %j', (source, text) => {
    expect(refusal(() => sentTime(timed(source, text)))).toBe('format');
  });

  it.each([
    '253402300800000',
    '9999999999999999',
    '9999-12-31T23:59:59-00:01',
    '1969-12-31T23:59:59Z',
    '0000-01-01',
    '1970-01-01T00:00:00+00:01',
  ])('refuses EventTime %s, which is not in the years 1970 to 9999', (text) => {
    expect(refusal(() => sentTimeOf(text))).toBe('range');
  });

  it('is a time of the years 1970 to 9999 or refused, whatever the text', () => {
    const texts = fc.oneof(
      fc.string(),
      fc.string({ unit: fc.constantFrom(...'0123456789-:T.Z+ ') }),
      fc.date().map(String),
    );

    fc.assert(
      fc.property(texts, fc.constantFrom(...TIME_SOURCES), (text, source) => {
        const message = timed(source, text);
        const code = refusal(() => sentTime(message));

        if (code !== undefined) expect(['missing', 'type', 'format', 'range']).toContain(code);
        else expect(utcDate(sentTime(message))).toMatch(/^(19[7-9]\d|[2-9]\d{3})-\d\d-\d\d$/);
      }),
      { numRuns: 200 },
    );
  });
});

describe('utcDate', () => {
  it.each([
    '1970-01-02',
    '1999-12-31',
    '2000-02-29',
    '2000-03-01',
    '2023-01-01',
    '2024-02-29',
    '2024-03-31',
    '2024-10-27',
    '9999-12-31',
  ])('changes at midnight UTC to %s', (date) => {
    const midnight = Date.parse(`${date}T00:00:00Z`);
    const dayBefore = new Date(midnight - 1).toISOString().slice(0, 10);

    expect(utcDate(midnight - 1)).toBe(dayBefore);
    expect(utcDate(midnight)).toBe(date);
    expect(utcDate(midnight + 86_399_999)).toBe(date);
  });

  it('begins with 1970 and ends with 9999', () => {
    expect(utcDate(0)).toBe('1970-01-01');
    expect(utcDate(253_402_300_799_999)).toBe('9999-12-31');
  });

  it('is the date part of the ISO time', () => {
    fc.assert(
      fc.property(fc.nat(253_402_300_799_999), (time) => {
        expect(utcDate(time)).toBe(new Date(time).toISOString().slice(0, 10));
      }),
    );
  });
});

describe('wasReceivedBefore', () => {
  it.each([
    [1, false],
    [2, true],
    [10, true],
  ])('at the receive count %i is %s', (receiveCount, expected) => {
    expect(wasReceivedBefore(record({}, { receiveCount }))).toBe(expected);
  });

  it('is false where the record does not say', () => {
    const { attributes: _, ...bare } = record();

    expect(wasReceivedBefore(bare as SQSRecord)).toBe(false);
    expect(wasReceivedBefore({ ...bare, attributes: {} } as SQSRecord)).toBe(false);
  });
});

const TIME_SOURCES = ['SentTimestamp', 'EventTime'] as const;
type TimeSource = (typeof TIME_SOURCES)[number];

function garbageInBoth(text: string): [TimeSource, string][] {
  return TIME_SOURCES.map((source) => [source, text]);
}

/** A record whose time stands in one place. */
function timed(source: TimeSource, text: string): SQSRecord {
  return source === 'EventTime'
    ? record({}, { attributes: { EventTime: text } })
    : record({}, { sentTimestamp: text });
}

function sentTimeOf(text: string): number {
  return sentTime(timed('EventTime', text));
}

function eventIdOf(text: string): string {
  return eventId(record({}, { attributes: { EventId: text } }));
}

function withAttribute(name: string, attribute: SQSMessageAttribute): SQSRecord {
  return { ...record(), messageAttributes: { [name]: attribute } };
}

/** The code with which a value is refused; undefined where it is not. */
function refusal(read: () => unknown): FieldCode | undefined {
  try {
    read();
    return undefined;
  } catch (error) {
    if (error instanceof FieldError) return error.code;
    throw error;
  }
}

/** RFC 9562 section 5.8, made from the hex digits of the hash. */
function hashedUuid(text: string): string {
  const hex = createHash('sha256').update(text, 'utf8').digest('hex');
  const variant = ((Number.parseInt(hex[16]!, 16) % 4) + 8).toString(16);
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    variant + hex.slice(17, 20),
    hex.slice(20, 32),
  ].join('-');
}

describe('the oldest sent time', () => {
  const sent = (messageId: string, sentTimestamp: string | undefined) =>
    record(undefined, { messageId, sentTimestamp });
  const none = new Set<string>();

  it('is the smallest, in milliseconds', () => {
    expect(oldestSentTime([sent('a', '1700000000300'), sent('b', '1700000000100')], none)).toBe(
      1_700_000_000_100,
    );
    expect(oldestSentTime([sent('a', '1700000000')], none)).toBe(1_700_000_000_000);
  });

  it('leaves out what does not count and what says nothing', () => {
    const records = [
      sent('a', '1600000000000'),
      sent('b', ''),
      sent('c', undefined),
      sent('d', '1700000000000'),
    ];

    expect(oldestSentTime(records, new Set(['a']))).toBe(1_700_000_000_000);
    expect(oldestSentTime(records, new Set(['a', 'd']))).toBeUndefined();
    expect(oldestSentTime([], none)).toBeUndefined();
    expect(oldestSentTime([sent('a', 'yesterday')], none)).toBeUndefined();
  });
});
