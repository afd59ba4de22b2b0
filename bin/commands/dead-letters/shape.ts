import type { SQSRecord } from 'aws-lambda';
import type { TableDeclaration } from '../../../lambda/events/declaration.ts';
import { EVENT_ID_ATTRIBUTE, EVENT_TIME_ATTRIBUTE } from '../../../lambda/events/identity.ts';
import { fieldPath, valueAt } from '../../../lambda/events/parse.ts';

type JsonType = 'object' | 'array' | 'string' | 'number' | 'boolean' | 'null';

/** What may be told of a value: never itself, not even a number or a truth value. */
export type ValueShape =
  | { readonly type: Exclude<JsonType, 'string'> | 'missing' }
  | {
      readonly type: 'string';
      /** In code points, as the limits of the declaration are. */
      readonly length: number;
      /** How many of them are of each class; classes without any are left out. */
      readonly characters: Readonly<Record<string, number>>;
    };

export interface BodyShape {
  readonly bytes: number;
  /** null where the body is not JSON. */
  readonly json: JsonType | null;
  /** One for each field of the declaration, where the body is an object. */
  readonly fields: Readonly<Record<string, ValueShape>>;
  /** Members that are in no field's path. Their names may be personal data, so they are only counted. */
  readonly otherMembers: number;
}

/** The body without its values. */
export function bodyShape(body: string, declaration: TableDeclaration): BodyShape {
  const bytes = Buffer.byteLength(body);
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    // The parser's error quotes the body.
    return { bytes, json: null, fields: {}, otherMembers: 0 };
  }
  const json = jsonType(value);
  if (json !== 'object') return { bytes, json, fields: {}, otherMembers: 0 };
  const object = value as object;
  const members = new Set<string>(declaration.columns.map(({ source }) => source[0]!));
  return {
    bytes,
    json,
    fields: Object.fromEntries(
      declaration.columns.map((column) => [fieldPath(column), valueShape(valueAt(object, column.source))]),
    ),
    otherMembers: Object.keys(object).filter((name) => !members.has(name)).length,
  };
}

function jsonType(value: unknown): JsonType {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : (typeof value as JsonType);
}

function valueShape(value: unknown): ValueShape {
  if (value === undefined) return { type: 'missing' };
  if (typeof value === 'string') return textShape(value);
  return { type: jsonType(value) as Exclude<JsonType, 'string'> };
}

const CLASSES: readonly (readonly [string, RegExp])[] = [
  ['digits', /^[0-9]$/],
  ['letters', /^\p{L}$/u],
  ['dots', /^\.$/],
  ['colons', /^:$/],
  ['hyphens', /^-$/],
  ['spaces', /^\s$/],
];
const OTHER = 'other';

function textShape(text: string): ValueShape {
  // The classes in their own order, since that of the text would tell something of it.
  const counts = new Map([...CLASSES.map(([name]) => name), OTHER].map((name) => [name, 0]));
  let length = 0;
  for (const character of text) {
    const [name] = CLASSES.find(([, pattern]) => pattern.test(character)) ?? [OTHER];
    counts.set(name, counts.get(name)! + 1);
    length++;
  }
  return {
    type: 'string',
    length,
    characters: Object.fromEntries([...counts].filter(([, count]) => count > 0)),
  };
}

/** Data types of the attributes that we know, null where there is none; the others are counted. */
export interface AttributesShape {
  readonly EventId: string | null;
  readonly EventTime: string | null;
  readonly others: number;
}

export function attributesShape({ messageAttributes }: SQSRecord): AttributesShape {
  const dataType = (name: string) => {
    const attribute = messageAttributes[name];
    // What follows the first dot is the producer's own text.
    return attribute === undefined
      ? null
      : (/^(String|Number|Binary)(?![^.])/.exec(attribute.dataType)?.[1] ?? 'other');
  };
  const known: readonly string[] = [EVENT_ID_ATTRIBUTE, EVENT_TIME_ATTRIBUTE];
  return {
    EventId: dataType(EVENT_ID_ATTRIBUTE),
    EventTime: dataType(EVENT_TIME_ATTRIBUTE),
    others: Object.keys(messageAttributes).filter((name) => !known.includes(name)).length,
  };
}
