import type { SQSRecord } from 'aws-lambda';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Column, TableDeclaration } from '../../../lambda/events/declaration.ts';
import { loginEvents } from '../../../lambda/events/login-event.ts';
import {
  type EventIdentity,
  fieldPath,
  type ParsedColumn,
  parseBatch,
  type Repeat,
} from '../../../lambda/events/parse.ts';
import type { FieldCode, Rejection } from '../../../lambda/events/rejection.ts';
import { loginEvent, record, records, SENT } from '../../support/records.ts';

const TODAY = '2023-11-14';
const EVENT_ID = 'f47ac10b-58cc-4372-a567-0e02b2c3d479';

const FIELDS: readonly string[] = [...loginEvents.columns.map(fieldPath), 'body', 'sent time', 'EventId'];
const CODES: readonly FieldCode[] = [
  'json',
  'missing',
  'type',
  'empty',
  'text',
  'too_long',
  'format',
  'range',
];

describe('a good batch', () => {
  it('comes out as columns in the order of the declaration and rows in the order of the records', () => {
    const bodies = [
      loginEvent({ user_id: 'u1', locale: null, app_version: '1.2.3' }),
      loginEvent({ user_id: 'u2', ip: '2001:db8::1', device_id: ' d2 ' }),
    ];

    const { rows, kinds, rejected, repeats } = parse(bodies.map((body) => record(body)));

    expect(kinds).toEqual(['plain', 'plain', 'canonical', 'canonical', 'plain', 'plain']);
    expect(rows).toEqual([
      [
        'u1',
        'android',
        hexBuffer('00000000000000000000ffffcb007107'),
        Buffer.from('593-47-5928'),
        null,
        1_002_003,
      ],
      ['u2', 'android', hexBuffer('20010db8000000000000000000000001'), Buffer.from('d2'), 'RU', 2_003_000],
    ]);
    expect([rejected, repeats]).toEqual([[], []]);
  });

  it('gives each event its identity', () => {
    const { events } = parse([
      record(loginEvent(), { messageId: EVENT_ID.toUpperCase() }),
      record(loginEvent(), {
        messageId: 'm2',
        receiveCount: 3,
        attributes: { EventId: EVENT_ID, EventTime: '2024-02-29T23:30:00-01:00' },
      }),
    ]);

    expect(events).toEqual<EventIdentity[]>([
      { messageId: EVENT_ID.toUpperCase(), eventId: EVENT_ID, date: TODAY },
      { messageId: 'm2', eventId: EVENT_ID, date: '2024-03-01' },
    ]);
  });

  it('may be empty', () => {
    expect([...parseBatch(loginEvents, [], [])]).toEqual([]);
    expect([...parseBatch(loginEvents, [])]).toMatchObject([{ events: [], rejected: [], repeats: [] }]);
  });

  it('is parsed a chunk at a time, each when it is asked for', () => {
    const chunks = parseBatch(loginEvents, [...records(4), { ...record(), messageId: '' }], [2, 2, 1]);

    expect(chunks.next().value?.events).toHaveLength(2);
    expect(chunks.next().value?.events).toHaveLength(2);
    expect(() => chunks.next()).toThrow(TypeError);
  });
});

describe('every record', () => {
  it('comes out exactly once, whatever is in it', () => {
    fc.assert(
      fc.property(batches, (batch) => {
        const { events, rows, rejected, repeats } = parse(batch);

        expect(idsOf([...events, ...rejected, ...repeats])).toEqual(idsOf(batch));
        expect(rows).toHaveLength(events.length);
      }),
      { numRuns: 100 },
    );
  });

  it('comes out the same whatever the chunk size', () => {
    fc.assert(
      fc.property(batches, fc.integer({ min: 1, max: 20 }), (batch, chunkSize) => {
        const sizes = batch.flatMap((_, i) => (i % chunkSize === 0 ? [chunkSize] : []));
        expect(parse(batch, loginEvents, sizes)).toEqual(parse(batch));
      }),
      { numRuns: 100 },
    );
  });

  it('is rejected by the names of a field and a rule and nothing else', () => {
    fc.assert(
      fc.property(batches, (batch) => {
        for (const rejection of parse(batch).rejected) {
          expect(Object.keys(rejection).sort()).toEqual(['code', 'field', 'messageId']);
          expect(FIELDS).toContain(rejection.field);
          expect(CODES).toContain(rejection.code);
        }
      }),
      { numRuns: 100 },
    );
  });

  it('is judged by itself: a good one among bad ones is accepted', () => {
    const { events, rejected } = parse([
      record('{', { messageId: 'bad-1' }),
      record(loginEvent(), { messageId: 'good' }),
      record('null', { messageId: 'bad-2' }),
    ]);

    expect(idsOf(events)).toEqual(['good']);
    expect(idsOf(rejected)).toEqual(['bad-1', 'bad-2']);
  });

  it.each(['', undefined])('must have a message id to be named by: %j throws', (messageId) => {
    const nameless = { ...record(), messageId } as SQSRecord;

    expect(() => parse([nameless])).toThrow(TypeError);
  });
});

describe('a body', () => {
  it.each([
    '',
    ' ',
    'login',
    'undefined',
    "{'user_id': 'u1'}",
    '{"user_id":"u1"',
    '{"user_id":"u1",}',
    '{"user_id":NaN}',
    '{} {}',
    '\ufeff{}',
    JSON.stringify(loginEvent()).slice(0, -1),
  ])('that is not JSON is rejected: %j', (body) => {
    expect(rejectionOf(body)).toEqual({ field: 'body', code: 'json' });
  });

  it.each(['null', '1', '-0.5e3', 'true', '"text"', '""', '[]', '[{"user_id":"u1"}]'])(
    'that is no object is rejected: %s',
    (body) => {
      expect(rejectionOf(body)).toEqual({ field: 'body', code: 'type' });
    },
  );

  it('that is missing is rejected', () => {
    const { rejected } = parse([{ ...record(), body: undefined } as unknown as SQSRecord]);

    expect(rejected).toMatchObject([{ field: 'body', code: 'json' }]);
  });

  it('of another shape is rejected at the first field that it lacks', () => {
    expect(rejectionOf({ foo: 'oops', bar: 123 })).toEqual({ field: 'user_id', code: 'missing' });
    expect(rejectionOf({})).toEqual({ field: 'user_id', code: 'missing' });
  });

  it('may have white space around it and members that nobody asked for', () => {
    const { events } = parse([record(`\n\t ${JSON.stringify(loginEvent({ extra: { a: [1] } }))} \r\n`)]);

    expect(events).toHaveLength(1);
  });

  it('may name a member twice: the last one counts', () => {
    const twice = JSON.stringify(loginEvent({ user_id: 'last' })).replace('{', '{"user_id":5,');

    expect(parse([record(twice)]).rows).toMatchObject([{ 0: 'last' }]);
  });

  it('may be of one mebibyte', { timeout: 2000 }, () => {
    const rest = JSON.stringify(loginEvent({ extra: '' })).length;
    const body = JSON.stringify(loginEvent({ extra: 'x'.repeat((1 << 20) - rest) }));

    expect(Buffer.byteLength(body)).toBe(1 << 20);
    expect(parse([record(body)]).events).toHaveLength(1);
  });

  it('of one mebibyte in one field is rejected', { timeout: 2000 }, () => {
    for (const field of ['user_id', 'device_type', 'device_id', 'locale']) {
      expect(rejectionOf(loginEvent({ [field]: 'é'.repeat(1 << 19) }))).toEqual({ field, code: 'too_long' });
    }
    expect(rejectionOf(loginEvent({ ip: '1'.repeat(1 << 20) }))).toEqual({ field: 'ip', code: 'format' });
  });

  it.each([
    ['one mebibyte of [', '['.repeat(1 << 20), 'json'],
    ['one mebibyte of {"a":', '{"a":'.repeat(209_715), 'json'],
    ['half a million nested arrays', '['.repeat(1 << 19) + ']'.repeat(1 << 19), 'type'],
  ])('of %s is rejected quickly', { timeout: 2000 }, (_, body, code) => {
    expect(rejectionOf(body)).toEqual({ field: 'body', code });
  });

  it('with 1,000 nested arrays is accepted beside the fields and refused in one', () => {
    const nested = '['.repeat(1000) + ']'.repeat(1000);

    expect(parse([record(withMember('extra', nested))]).events).toHaveLength(1);
    expect(rejectionOf(withMember('device_id', nested, { device_id: undefined }))).toEqual({
      field: 'device_id',
      code: 'type',
    });
  });
});

describe('the first rule that is broken', () => {
  const broken = {
    user_id: '',
    device_type: 5,
    ip: 'localhost',
    device_id: '\0',
    locale: [],
    app_version: '2148',
  };
  const expected = [
    ['user_id', 'empty'],
    ['device_type', 'type'],
    ['ip', 'format'],
    ['device_id', 'text'],
    ['locale', 'type'],
    ['app_version', 'range'],
  ] as const;

  it.each(expected.map(([field, code], i) => [field, code, i] as const))(
    'in the order of the declaration is reported: %s %s',
    (field, code, i) => {
      const good = loginEvent();
      const before = expected.slice(0, i).map(([name]) => [name, good[name]]);
      const body = { ...broken, ...Object.fromEntries(before) };

      expect(rejectionOf(body, { sentTimestamp: 'never', attributes: { EventId: ' ' } })).toEqual({
        field,
        code,
      });
    },
  );

  it('is reported for the sent time after the body and for the event id after both', () => {
    const noText = { EventId: ' ' };

    expect(rejectionOf(loginEvent(), { sentTimestamp: 'never', attributes: noText })).toEqual({
      field: 'sent time',
      code: 'format',
    });
    expect(rejectionOf(loginEvent(), { sentTimestamp: undefined, attributes: noText })).toEqual({
      field: 'sent time',
      code: 'missing',
    });
    expect(rejectionOf(loginEvent(), { attributes: noText })).toEqual({ field: 'EventId', code: 'type' });
    expect(rejectionOf('{', { sentTimestamp: 'never', attributes: noText })).toEqual({
      field: 'body',
      code: 'json',
    });
  });
});

describe('members of the names of object internals', () => {
  it('are members like any other', () => {
    for (const name of ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty']) {
      expect(parse([record(withMember(name, '{"user_id":"other"}', { user_id: 'own' }))]).rows).toMatchObject(
        [{ 0: 'own' }],
      );
    }
  });

  it('supply no field that the body lacks', () => {
    const body = withMember('__proto__', JSON.stringify(loginEvent()), { user_id: undefined });

    expect(rejectionOf(body)).toEqual({ field: 'user_id', code: 'missing' });
  });

  it('pollute no prototype', () => {
    const pollution = '{"polluted":"yes","prototype":{"polluted":"yes"},"toString":null}';

    parse([record(withMember('__proto__', pollution)), record(withMember('constructor', pollution))]);

    const plain: Record<string, unknown> = {};
    expect([plain.polluted, typeof plain.toString]).toEqual([undefined, 'function']);
  });

  it.each([
    ['constructor'],
    ['__proto__'],
    ['toString'],
    ['constructor', 'name'],
    ['inner', 'constructor', 'name'],
  ])('are not inherited: %s %s %s', (...source) => {
    const declared = declaration({ column: 'a', source, type: 'text', maxLength: 100 });

    const { rejected } = parse([record({ inner: {} }, { messageId: 'm' })], declared);

    expect(rejected).toEqual([{ messageId: 'm', field: source.join('.'), code: 'missing' }]);
  });

  it('are read where they are declared and sent', () => {
    const declared = declaration(
      { column: 'a', source: ['constructor'], type: 'text', maxLength: 9 },
      { column: 'b', source: ['__proto__', 'x'], type: 'text', maxLength: 9 },
    );

    expect(parse([record('{"constructor":"a","__proto__":{"x":"b"}}')], declared).rows).toEqual([['a', 'b']]);
  });
});

describe('a nested source', () => {
  const declared = declaration(
    { column: 'id', source: ['user', 'account', 'id'], type: 'text', maxLength: 9 },
    { column: 'ip', source: ['client', 'ip'], type: 'address', mask: { domain: 'ip' }, optional: true },
  );

  it('is followed member by member', () => {
    const body = { user: { account: { id: 'u1' }, id: 'u2' }, client: { ip: '::1' }, id: 'u3' };

    expect(parse([record(body)], declared).rows).toEqual([
      ['u1', hexBuffer('00000000000000000000000000000001')],
    ]);
  });

  it.each([
    {},
    { 'user.account.id': 'u1' },
    { user: null },
    { user: 'text' },
    { user: 5 },
    { user: [{ account: { id: 'u1' } }] },
    { user: { account: null } },
    { user: { account: { id: null } } },
  ])('is missing where it ends early: %j', (body) => {
    const { rejected } = parse([record(body)], declared);

    expect(rejected).toMatchObject([{ field: 'user.account.id', code: 'missing' }]);
  });

  it.each([{}, { client: null }, { client: 'text' }, { client: { ip: null } }])(
    'of an optional column is NULL where it ends early: %j',
    (rest) => {
      const body = { user: { account: { id: 'u1' } }, ...rest };

      expect(parse([record(body)], declared).rows).toEqual([['u1', null]]);
    },
  );
});

describe('a repeat', () => {
  const attributes = { EventId: EVENT_ID };

  it('of the same batch points at the first message of its event', () => {
    const { events, repeats } = parse([
      record(loginEvent(), { messageId: 'm1', attributes }),
      record(loginEvent(), { messageId: 'other' }),
      record(loginEvent(), { messageId: 'm2', attributes: { EventId: ` ${EVENT_ID.toUpperCase()}` } }),
      record(loginEvent(), { messageId: 'm3', attributes }),
    ]);

    expect(idsOf(events)).toEqual(['m1', 'other']);
    expect(repeats).toEqual<Repeat[]>([
      { messageId: 'm2', of: 'm1' },
      { messageId: 'm3', of: 'm1' },
    ]);
  });

  it('is known across chunks', () => {
    const batch = ['m1', 'm2', 'm3'].map((messageId) => record(loginEvent(), { messageId, attributes }));

    expect(
      parse(
        batch,
        loginEvents,
        batch.map(() => 1),
      ).repeats,
    ).toEqual<Repeat[]>([
      { messageId: 'm2', of: 'm1' },
      { messageId: 'm3', of: 'm1' },
    ]);
  });

  it('is the same message handed over twice', () => {
    const message = record();

    const { events, repeats } = parse([message, message]);

    expect(idsOf(events)).toEqual([message.messageId]);
    expect(repeats).toEqual([{ messageId: message.messageId, of: message.messageId }]);
  });

  it('is the event whose messageId another message carries as its EventId', () => {
    const { repeats } = parse([
      record(loginEvent(), { messageId: EVENT_ID }),
      record(loginEvent(), { messageId: 'redriven', attributes }),
    ]);

    expect(repeats).toEqual([{ messageId: 'redriven', of: EVENT_ID }]);
  });

  it('of a rejected message is the first of its event', () => {
    const { events, rejected, repeats } = parse([
      record(loginEvent({ ip: 'localhost' }), { messageId: 'm1', attributes }),
      record(loginEvent(), { messageId: 'm2', attributes }),
      record(loginEvent(), { messageId: 'm3', attributes }),
    ]);

    expect(idsOf(rejected)).toEqual(['m1']);
    expect(idsOf(events)).toEqual(['m2']);
    expect(repeats).toEqual([{ messageId: 'm3', of: 'm2' }]);
  });

  it('that breaks a rule is rejected', () => {
    const { rejected, repeats } = parse([
      record(loginEvent(), { messageId: 'm1', attributes }),
      record(loginEvent({ ip: 'localhost' }), { messageId: 'm2', attributes }),
    ]);

    expect(rejected).toEqual([{ messageId: 'm2', field: 'ip', code: 'format' }]);
    expect(repeats).toEqual([]);
  });

  it('needs the same UTC date: the same event id on another date is another event', () => {
    const midnight = SENT - (SENT % 86_400_000);
    const at = (messageId: string, time: number) =>
      record(loginEvent(), { messageId, sentTimestamp: String(time), attributes });

    const { events, repeats } = parse([
      at('before', midnight - 1),
      at('after', midnight),
      at('again', midnight + 1),
    ]);

    expect(events.map(({ messageId, date }) => [messageId, date])).toEqual([
      ['before', '2023-11-13'],
      ['after', TODAY],
    ]);
    expect(repeats).toEqual([{ messageId: 'again', of: 'after' }]);
  });

  it('is not two messages of equal bodies', () => {
    const body = loginEvent();

    expect(parse([record(body), record(body)]).events).toHaveLength(2);
  });
});

interface Parsed {
  readonly events: EventIdentity[];
  /** Values by rows. */
  readonly rows: ParsedColumn['values'][number][][];
  readonly kinds: ParsedColumn['kind'][];
  readonly rejected: Rejection[];
  readonly repeats: Repeat[];
}

/** All chunks of a batch as one. */
function parse(
  batch: readonly SQSRecord[],
  declared: TableDeclaration = loginEvents,
  sizes = [batch.length],
): Parsed {
  const chunks = [...parseBatch(declared, batch, sizes)];
  return {
    events: chunks.flatMap(({ events }) => events),
    rows: chunks.flatMap(({ events, columns }) =>
      events.map((_, row) => columns.map(({ values }) => values[row]!)),
    ),
    kinds: chunks[0]!.columns.map(({ kind }) => kind),
    rejected: chunks.flatMap(({ rejected }) => rejected),
    repeats: chunks.flatMap(({ repeats }) => repeats),
  };
}

/** Why the only record of a batch is rejected. */
function rejectionOf(
  body: unknown,
  changes: Parameters<typeof record>[1] = {},
): Omit<Rejection, 'messageId'> {
  const { events, rejected } = parse([record(body, { ...changes, messageId: 'm' })]);
  expect(events).toEqual([]);
  expect(rejected).toMatchObject([{ messageId: 'm' }]);
  const { field, code } = rejected[0]!;
  return { field, code };
}

function idsOf(messages: readonly { readonly messageId: string }[]): string[] {
  return messages.map(({ messageId }) => messageId).sort();
}

/** JSON of a login event with one more member in front, whatever its name and value. */
function withMember(name: string, json: string, changes: Record<string, unknown> = {}): string {
  return JSON.stringify(loginEvent(changes)).replace('{', `{${JSON.stringify(name)}:${json},`);
}

function declaration(...columns: Column[]): TableDeclaration {
  return {
    table: 'others',
    columns,
    repeats: { view: 'other_repeats', count: 'count', subject: 'a', subjects: 'subjects' },
  };
}

function hexBuffer(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, 'hex'));
}

const mutations = fc
  .dictionary(
    fc.constantFrom(
      'user_id',
      'device_type',
      'ip',
      'device_id',
      'locale',
      'app_version',
      'extra',
      '__proto__',
    ),
    fc.oneof(
      fc.jsonValue(),
      fc.string({ unit: 'binary' }),
      fc.ipV4(),
      fc.ipV6(),
      fc.constantFrom<unknown>(undefined, null, '', '\0', '\ud800', '1.2.3', 5),
    ),
    { maxKeys: 2 },
  )
  .map((changes) => JSON.stringify(loginEvent(changes)));

const bodies = fc.oneof(
  { weight: 4, arbitrary: mutations },
  { weight: 2, arbitrary: fc.constant(null).map(() => JSON.stringify(loginEvent())) },
  fc.json(),
  fc.jsonValue().map((value) => JSON.stringify(value)),
  fc.string({ unit: 'binary' }),
  fc.tuple(mutations, fc.nat(200)).map(([body, length]) => body.slice(0, length)),
);

const times = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(String(SENT), String(SENT + 86_400_000)) },
  fc.constantFrom(undefined, '', 'never', '253402300800000'),
);

const attributeSets = fc.record(
  {
    EventId: fc.constantFrom('order-1', 'order-2', EVENT_ID, EVENT_ID.toUpperCase(), ' '),
    EventTime: fc.constantFrom('2023-11-14', '2023-11-15T00:00:00Z', 'never'),
  },
  { requiredKeys: [] },
);

/** Batches of good, bad, repeated and strange records. */
const batches: fc.Arbitrary<SQSRecord[]> = fc
  .array(
    fc.record({ body: bodies, sentTimestamp: times, attributes: attributeSets, receiveCount: fc.nat(3) }),
    {
      minLength: 1,
      maxLength: 30,
    },
  )
  .map((messages) =>
    messages.map(({ body, ...changes }, i) => record(body, { ...changes, messageId: `message-${i}` })),
  );
