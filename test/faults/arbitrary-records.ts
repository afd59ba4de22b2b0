import type { SQSMessageAttributes, SQSRecord } from 'aws-lambda';
import fc, { type Arbitrary } from 'fast-check';
import { loginEvent, record, SENT } from '../support/records.ts';

/** What must not be read anywhere but in the table, and there only where a column takes it as it is. */
export const CANARIES = /canary|198\.51\.100\.|c633:64|2001:0?db8/i;

const DAY = 86_400_000;
const FIELDS = Object.keys(loginEvent());

/** Text of any code points, lone surrogates and NUL among them, and such as parsers and COPY trip over. */
const anyText = fc.oneof(
  { weight: 3, arbitrary: fc.string({ unit: 'binary', maxLength: 40 }) },
  fc
    .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 200 })
    .map((units) => String.fromCharCode(...units)),
  fc.constantFrom(
    '',
    ' ',
    '\0',
    '\\N',
    '\\.',
    '\t\n\r\\',
    '"{},',
    'null',
    '__proto__',
    'e\u0301',
    '😀'.repeat(33),
  ),
  fc.nat({ max: 300 }).map((length) => 'CANARY'.padEnd(length, 'x')),
);

const anyAddress = fc.oneof(
  { weight: 5, arbitrary: fc.nat({ max: 255 }).map((part) => `198.51.100.${part}`) },
  { weight: 3, arbitrary: fc.nat({ max: 0xffff }).map((part) => `2001:0DB8::${part.toString(16)}`) },
  fc.ipV4Extended(),
  fc.ipV6(),
);

/** An event that every rule accepts, nearly always. */
const goodEvent = fc
  .record({
    user_id: fc.nat().map((n) => `CANARY-USER-${n}`),
    device_type: fc.constantFrom('android', 'iOS', 'CANARY "type"', '\\N'),
    ip: anyAddress,
    device_id: fc.string({ unit: 'grapheme', maxLength: 20 }).map((text) => `CANARY-DEVICE ${text}`),
    locale: fc.option(fc.constantFrom('RU', 'null', '')),
    app_version: fc.tuple(fc.nat(2_147), fc.nat(999), fc.nat(999)).map((parts) => parts.join('.')),
  })
  .map((event): Record<string, unknown> => event);

/** The same with one field replaced, removed or extended, or with fields that nobody asked for. */
const mutatedEvent = fc
  .tuple(
    goodEvent,
    fc.constantFrom(...FIELDS),
    fc.oneof(
      fc.jsonValue({ maxDepth: 2 }).map((value) => () => value),
      fc.constant(() => undefined),
      anyText.map((text) => (old: unknown) => `${old}${text}`),
      anyText.map((text) => () => text),
    ),
    fc.dictionary(fc.constantFrom('extra', 'constructor', 'toString', '198.51.100.7'), anyText, {
      maxKeys: 2,
    }),
  )
  .map(([event, field, mutate, extra]) => ({ ...extra, ...event, [field]: mutate(event[field]) }));

const anyBody = fc.oneof(
  { weight: 14, arbitrary: goodEvent.map((event) => JSON.stringify(event)) },
  { weight: 6, arbitrary: mutatedEvent.map((event) => JSON.stringify(event)) },
  { weight: 2, arbitrary: fc.json({ maxDepth: 3 }) },
  { weight: 1, arbitrary: anyText },
  {
    weight: 1,
    arbitrary: fc.tuple(goodEvent, fc.double({ min: 0, max: 1, noNaN: true })).map(([event, part]) => {
      const json = JSON.stringify(event);
      return json.slice(0, part * json.length);
    }),
  },
);

/** A small number of events share an id, so that there are repeats. */
const eventIdText = fc.oneof(
  { weight: 4, arbitrary: fc.nat({ max: 50 }).map((n) => `CANARY-EVENT-${n}`) },
  fc.uuid().map((id) => id.toUpperCase()),
  fc.tuple(fc.uuid(), anyText).map((parts) => parts.join('')),
  anyText,
);

const eventTimeText = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.date({ min: new Date(0), noInvalidDate: true }).map((date) => date.toISOString()),
  },
  { weight: 4, arbitrary: fc.nat({ max: 5 }).map((day) => String(SENT + day * DAY)) },
  fc.integer().map(String),
  fc.constantFrom('2024-02-30', '2024-02-29', '2024-06-30T23:59:60Z', '20240229', '2024-02-29T24:00+14:00'),
  anyText,
);

function anyAttribute(text: Arbitrary<string>): Arbitrary<SQSMessageAttributes[string]> {
  const held = fc.oneof(
    { weight: 6, arbitrary: fc.record({ stringValue: text }) },
    fc.record({ binaryValue: fc.base64String({ maxLength: 40 }) }),
    fc.constant({}),
  );
  const dataType = fc.constantFrom('String', 'Number', 'Binary', 'String.CANARY', 'Number.int');
  return fc
    .tuple(held, dataType)
    .map(([value, dataType]) => ({ ...value, dataType }) as SQSMessageAttributes[string]);
}

const anyAttributes = fc.oneof(
  { weight: 3, arbitrary: fc.constant<SQSMessageAttributes>({}) },
  fc
    .record(
      {
        EventId: anyAttribute(eventIdText),
        EventTime: anyAttribute(eventTimeText),
        CANARY: anyAttribute(anyText),
      },
      { requiredKeys: [] },
    )
    .map((attributes) => attributes as SQSMessageAttributes),
);

const anySystemAttributes = fc
  .record({
    SentTimestamp: fc.oneof(
      { weight: 9, arbitrary: fc.nat({ max: 3 * DAY }).map((ms) => String(SENT + ms)) },
      fc.constantFrom(String(SENT / 1000), undefined, '', '-1', 'CANARY', '9'.repeat(16), '9'.repeat(30)),
    ),
    ApproximateReceiveCount: fc.constantFrom('1', '1', '1', '2', '5', 'CANARY', undefined),
  })
  .map((attributes) => attributes as SQSRecord['attributes']);

function sometimesMissing<T>(arbitrary: Arbitrary<T>): Arbitrary<T | undefined> {
  return fc.option(arbitrary, { nil: undefined, freq: 50 });
}

/** Whatever may arrive: any body, any attributes, and now and then none. */
const anyRecord = fc
  .record({
    // Shrunk, they would be the same.
    messageId: fc.noShrink(fc.uuid()),
    body: anyBody,
    attributes: sometimesMissing(anySystemAttributes),
    messageAttributes: sometimesMissing(anyAttributes),
  })
  .map((values) => ({ ...record(''), ...values }) as SQSRecord);

/** A batch in which messages may stand twice, as SQS may deliver them. */
export function anyBatch(maxLength: number): Arbitrary<SQSRecord[]> {
  const twice = fc.array(fc.nat(), { maxLength: 3 });
  return fc
    .tuple(fc.array(anyRecord, { minLength: 1, maxLength, size: 'max' }), twice)
    .map(([records, places]) => [...records, ...places.map((place) => records[place % records.length]!)]);
}
