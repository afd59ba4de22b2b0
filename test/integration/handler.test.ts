import { describe, expect, it } from 'vitest';
import { useDatabase } from '../support/database.ts';
import { keyset, useFunctions } from '../support/function.ts';
import { loginEvent, type RecordChanges, record, records } from '../support/records.ts';

const database = useDatabase();
const createFunction = useFunctions();

interface Case {
  readonly name: string;
  /** Of the message; an object becomes JSON. */
  readonly body?: unknown;
  readonly sentTimestamp?: undefined;
  readonly field: string;
  readonly code: string;
}

const required = ['user_id', 'device_type', 'ip', 'device_id', 'app_version'];
const texts = ['user_id', 'device_type', 'device_id', 'locale', 'ip', 'app_version'];

function cases(): Case[] {
  const field = (
    name: string,
    value: unknown,
    code: string,
    label = JSON.stringify(value)?.slice(0, 40),
  ): Case => ({
    name: `${name} ${label}`,
    body: loginEvent({ [name]: value }),
    field: name,
    code,
  });
  return [
    { name: 'text that is not JSON', body: 'login failed', field: 'body', code: 'json' },
    { name: 'an empty body', body: '', field: 'body', code: 'json' },
    { name: 'truncated JSON', body: '{"user_id": "a', field: 'body', code: 'json' },
    { name: '1,000 nested arrays', body: '['.repeat(1_000) + ']'.repeat(1_000), field: 'body', code: 'type' },
    { name: 'a mebibyte of [', body: '['.repeat(1024 * 1024), field: 'body', code: 'json' },
    ...['null', '17', '"text"', '[]', 'true'].map((body) => ({
      name: `JSON ${body}`,
      body,
      field: 'body',
      code: 'type',
    })),
    {
      name: 'a message of another shape',
      body: { foo: 'oops', bar: '1' },
      field: 'user_id',
      code: 'missing',
    },
    ...required.flatMap((name) => [
      field(name, undefined, 'missing'),
      field(name, null, 'missing'),
      field(name, 17, 'type'),
      field(name, {}, 'type'),
      field(name, [], 'type'),
      ...(name === 'ip' ? [] : [field(name, '', 'empty'), field(name, ' \t ', 'empty')]),
    ]),
    field('locale', 17, 'type'),
    ...texts.flatMap((name) => [
      field(name, 'a\0b', 'text', 'with NUL'),
      field(name, 'a\ud800b', 'text', 'with a lone surrogate'),
    ]),
    field('user_id', '😀'.repeat(129), 'too_long', 'of 129 emoji'),
    field('device_type', '😀'.repeat(33), 'too_long', 'of 33 emoji'),
    field('locale', '😀'.repeat(33), 'too_long', 'of 33 emoji'),
    field('device_id', 'x'.repeat(160), 'too_long', 'of 160 bytes'),
    ...['256.1.1.1', '1.2.3', '192.000.002.001', 'fe80::1%eth0', '1.2.3.4/24', 'localhost', ''].map((ip) =>
      field('ip', ip, 'format'),
    ),
    ...['x', '1.2.3.4', '1..2', '-1.0', '1e3'].map((version) => field('app_version', version, 'format')),
    ...['1.1000.0', '2148.0.0'].map((version) => field('app_version', version, 'range')),
    { name: 'no sent time', sentTimestamp: undefined, field: 'sent time', code: 'missing' },
    { name: '__proto__ only', body: '{"__proto__":{"user_id":"a"}}', field: 'user_id', code: 'missing' },
    {
      name: 'constructor only',
      body: '{"constructor":{"prototype":{"user_id":"a"}}}',
      field: 'user_id',
      code: 'missing',
    },
  ];
}

function badRecord(bad: Case) {
  return record(bad.body, 'sentTimestamp' in bad ? { sentTimestamp: undefined } : {});
}

describe('a message that breaks a rule', () => {
  it.each(cases())('alone: $name → $field $code', async (bad) => {
    const { invoke, reports } = createFunction({ databaseUrl: database.url });
    const message = badRecord(bad);

    const failed = await invoke([message]);

    expect(failed).toEqual([message.messageId]);
    const { field, code } = bad;
    expect(reports[0]?.rejected).toEqual([{ messageId: message.messageId, field, code }]);
    expect(await database.count()).toBe(0);
  });

  it.each(cases())('amid 499 good ones: $name → $field $code', async (bad) => {
    const { invoke, reports } = createFunction({ databaseUrl: database.url });
    const message = badRecord(bad);
    const batch = records(499).toSpliced(250, 0, message);

    const failed = await invoke(batch);

    expect(failed).toEqual([message.messageId]);
    expect(reports[0]).toMatchObject({ received: 500, stored: 499, duplicates: 0, retried: [] });
    expect(await database.count()).toBe(499);
    expect(Object.prototype).not.toHaveProperty('user_id');
  });
});

describe('a message that is unusual but good', () => {
  const sender = (changes: Record<string, unknown>) => loginEvent(changes);
  it.each([
    ['extra fields, which are dropped', sender({ password: 'x', nested: { deep: [] } })],
    ['a v before the version', sender({ app_version: 'v2.3.0' })],
    ['a build after the version', sender({ app_version: '2.3.0+build5' })],
    ['a leading zero in the version', sender({ app_version: '6.02' })],
    ['128 emoji of user_id', sender({ user_id: '😀'.repeat(128) })],
    ['159 bytes of device_id', sender({ device_id: 'x'.repeat(159) })],
    ['no locale', sender({ locale: undefined })],
    ['characters that COPY escapes', sender({ user_id: 'a\\b\tc\nd\re\\N', device_type: '"{,}\'' })],
    ['upper-case IPv6', sender({ ip: '2001:0DB8:0:0:0:0:0:1' })],
    ['a multicast address', sender({ ip: '239.1.2.3' })],
    ['a reserved address', sender({ ip: '255.255.255.255' })],
    ['a duplicate key', '{"user_id":17,'.concat(JSON.stringify(loginEvent()).slice(1))],
    ['a body of a mebibyte', sender({ padding: 'x'.repeat(1024 * 1024 - 400) })],
  ])('is stored: %s', async (_name, body) => {
    const { invoke } = createFunction({ databaseUrl: database.url });

    expect(await invoke([record(body)])).toEqual([]);
    expect(await database.count()).toBe(1);
  });

  it('is stored as it came, but for what is masked', async () => {
    const { invoke } = createFunction({ databaseUrl: database.url });
    const event = loginEvent({
      user_id: 'a\\b\tc\nd\re\\N',
      device_type: '\\N',
      locale: 'null',
      app_version: '6.02',
    });
    const message = record(event, { sentTimestamp: '1700000000' });

    await invoke([message]);

    const [row] = await database.rows('SELECT *, create_date::text FROM user_logins');
    expect(row).toMatchObject({
      user_id: event.user_id,
      device_type: '\\N',
      locale: 'null',
      app_version: 6_002_000,
      create_date: '2023-11-14',
      event_id: message.messageId,
    });
    expect(row?.masked_ip).toMatch(/^s1~k1~[\w-]{43}$/);
    expect(row?.masked_device_id).toMatch(/^s1~k1~[\w-]{43}$/);
  });
});

/** Keeps the processor busy for a time in milliseconds. */
function busy(time: number): void {
  const end = performance.now() + time;
  while (performance.now() < end);
}

describe('the response', () => {
  it('is never undefined, not even for an empty event', async () => {
    const { invoke } = createFunction({ databaseUrl: database.url });

    expect(await invoke([])).toEqual([]);
  });

  it('comes with the time of each stage, which add up to no more than the whole', async () => {
    const keysetSource = async () => {
      busy(20);
      return keyset;
    };
    const { invoke, reports } = createFunction({ databaseUrl: database.url, keysetSource });
    const slow = records(200).map((message) => ({
      ...message,
      get body() {
        busy(0.5);
        return message.body;
      },
    }));

    const start = performance.now();
    await invoke(slow);
    const elapsed = performance.now() - start;

    const times = reports[0]!.milliseconds;
    expect(times.keyset).toBeGreaterThanOrEqual(20);
    expect(times.parse).toBeGreaterThanOrEqual(100);
    expect(times.mask).toBeGreaterThan(0);
    expect(times.write).toBeGreaterThan(0);
    expect(times.keyset + times.parse + times.mask + times.write).toBeLessThanOrEqual(elapsed);
  });

  it('comes with the lag of the oldest message that was stored, by when SQS got it', async () => {
    const { invoke, reports } = createFunction({ databaseUrl: database.url });
    const sent = (secondsAgo: number, changes: RecordChanges = {}) =>
      ({ ...changes, sentTimestamp: String(Date.now() - secondsAgo * 1_000) }) as const;
    const oldEvent = { attributes: { EventTime: '2001-01-01' } };

    await invoke([
      record('{}', sent(500)),
      record(loginEvent(), sent(60)),
      record(loginEvent(), sent(200, oldEvent)),
    ]);
    const seconds = String(Math.floor(Date.now() / 1_000) - 100);
    await invoke([record(loginEvent(), { sentTimestamp: seconds })]);
    await invoke([record('{}', sent(500))]);

    expect(reports.map(({ lag }) => lag && Math.floor(lag / 10_000))).toEqual([20, 10, undefined]);
  });

  it('accounts for ten thousand records', async () => {
    const { invoke, reports } = createFunction({ databaseUrl: database.url });
    const batch = records(10_000).map((message, i) => (i % 100 === 0 ? { ...message, body: '{}' } : message));

    const failed = await invoke(batch);

    expect(failed).toEqual(batch.filter((_, i) => i % 100 === 0).map(({ messageId }) => messageId));
    expect(reports[0]).toMatchObject({ received: 10_000, stored: 9_900, duplicates: 0 });
    expect(await database.count()).toBe(9_900);
  });

  it('needs no database when nothing can be stored', async () => {
    const { invoke } = createFunction({ databaseUrl: 'postgres://nobody@127.0.0.1:1/none' });
    const message = record('{}');

    expect(await invoke([message])).toEqual([message.messageId]);
  });
});
