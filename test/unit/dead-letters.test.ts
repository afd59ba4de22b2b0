import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { reasonOf } from '../../bin/commands/dead-letters/reason.ts';
import { renderAge } from '../../bin/commands/dead-letters/render.ts';
import { attributesShape, bodyShape } from '../../bin/commands/dead-letters/shape.ts';
import { queueName } from '../../bin/queue/name.ts';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { loginEvent, record } from '../support/records.ts';

const QUEUE = 'login-queue';
const FIELDS = loginEvents.columns.map(({ source }) => source[0]);

describe('the reason of a dead letter', () => {
  it.each([
    ['the field and the code of the rule that it breaks', record('{'), { field: 'body', code: 'json' }],
    [
      'that of an attribute',
      record(loginEvent(), { attributes: { EventTime: 'x' } }),
      { field: 'sent time', code: 'format' },
    ],
    ['storable where the rules accept it', record(), { field: null, code: 'storable' }],
  ])('is %s', (_name, letter, reason) => {
    expect(reasonOf(letter, QUEUE)).toEqual(reason);
  });

  it('is that it came from another queue, whatever it holds, where that shares the dead-letter queue', () => {
    const from = (name: string) => {
      const letter = record('{');
      const DeadLetterQueueSourceArn = `arn:aws:sqs:us-east-1:000000000000:${name}`;
      return { ...letter, attributes: { ...letter.attributes, DeadLetterQueueSourceArn } };
    };

    expect(reasonOf(from('other-queue'), QUEUE)).toEqual({ field: null, code: 'other_queue' });
    expect(reasonOf(from(QUEUE), QUEUE)).toEqual({ field: 'body', code: 'json' });
  });
});

describe('the shape of a body', () => {
  it('tells the type of each field, and of text how long it is and of what', () => {
    const body = JSON.stringify({
      user_id: 'a-1 é🚀',
      ip: '2001:db8::1',
      device_id: 12,
      locale: null,
      app_version: { major: 2 },
      '203.0.113.9': 'x',
    });

    expect(bodyShape(body, loginEvents)).toEqual({
      bytes: Buffer.byteLength(body),
      json: 'object',
      fields: {
        user_id: {
          type: 'string',
          length: 6,
          characters: { digits: 1, letters: 2, hyphens: 1, spaces: 1, other: 1 },
        },
        device_type: { type: 'missing' },
        ip: { type: 'string', length: 11, characters: { digits: 6, letters: 2, colons: 3 } },
        device_id: { type: 'number' },
        locale: { type: 'null' },
        app_version: { type: 'object' },
      },
      otherMembers: 1,
    });
  });

  it.each([
    ['{', null],
    ['[1]', 'array'],
    ['"203.0.113.9"', 'string'],
    ['12', 'number'],
    ['true', 'boolean'],
    ['null', 'null'],
  ])('of %s is its JSON type alone', (body, json) => {
    expect(bodyShape(body, loginEvents)).toEqual({ bytes: body.length, json, fields: {}, otherMembers: 0 });
  });

  it('is the same for the same characters in another order', () => {
    const shape = (ip: string) => JSON.stringify(bodyShape(JSON.stringify({ ip }), loginEvents));

    expect(shape('a1.:')).toBe(shape(':.1a'));
  });

  it('holds no value and no name that the declaration does not have', () => {
    const value = fc.oneof(fc.jsonValue(), fc.ipV4(), fc.ipV6(), fc.string());
    const event = fc.dictionary(fc.oneof(fc.string(), fc.ipV4(), fc.constantFrom(...FIELDS)), value);
    const names = [...FIELDS, 'bytes', 'json', 'fields', 'otherMembers', 'type', 'length', 'characters'];
    const classes = ['digits', 'letters', 'dots', 'colons', 'hyphens', 'spaces', 'other'];
    const types = ['object', 'array', 'string', 'number', 'boolean', 'null', 'missing'];
    const said = new Set([...names, ...classes, ...types]);

    fc.assert(
      fc.property(event, (body) => {
        const texts = JSON.stringify(bodyShape(JSON.stringify(body), loginEvents)).match(/"[^"]*"/g) ?? [];
        expect(texts.map((text) => text.slice(1, -1)).filter((text) => !said.has(text))).toEqual([]);
      }),
    );
  });
});

describe('the shape of the attributes', () => {
  it('names the two that we know, by their data type without what a producer added to it, and counts the others', () => {
    const letter = record(loginEvent(), { attributes: { EventId: 'x', '203.0.113.9': 'x', other: 'x' } });
    letter.messageAttributes.EventId!.dataType = 'String.203.0.113.9';

    expect(attributesShape(letter)).toEqual({ EventId: 'String', EventTime: null, others: 2 });
  });

  it('does not repeat a data type that SQS does not have', () => {
    const letter = record(loginEvent(), { attributes: { EventTime: 'x' } });
    letter.messageAttributes.EventTime!.dataType = 'Numbers 203.0.113.9';

    expect(attributesShape(letter)).toEqual({ EventId: null, EventTime: 'other', others: 0 });
  });
});

describe('an age', () => {
  const NOW = 1_700_000_000_000;
  it.each([
    [0, '0 s'],
    [59_999, '59 s'],
    [61_000, '1 min 1 s'],
    [3_600_000, '1 h'],
    [273_600_000, '3 d 4 h'],
    [-5_000, '0 s'],
  ])('of %d ms reads %s', (age, text) => {
    expect(renderAge(NOW - age, NOW)).toBe(text);
  });
});

describe('the name of a queue', () => {
  it.each([
    'arn:aws:sqs:eu-central-1:000000000000:login-queue',
    'https://sqs.eu-central-1.amazonaws.com/000000000000/login-queue',
    'http://localhost:4566/000000000000/login-queue/',
  ])('is the last part of %s', (urlOrArn) => {
    expect(queueName(urlOrArn)).toBe(QUEUE);
  });
});
