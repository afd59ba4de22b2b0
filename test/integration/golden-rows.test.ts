/**
 * Rows as they stand in tables, byte for byte, by every way into the table. golden-rows.jsonl has messages and what
 * becomes of them: the rows were written by hand and the tokens made by other code than the masker's, and they must
 * never be made again.
 */
import { readFileSync } from 'node:fs';
import type { SQSRecord } from 'aws-lambda';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Masking } from '../../lambda/events/declaration.ts';
import { useDatabase } from '../support/database.ts';
import { type FunctionUnderTest, useFunctions } from '../support/function.ts';
import { loginEvent, type RecordChanges, record, records } from '../support/records.ts';

const database = useDatabase();
const createFunction = useFunctions();

type Row = Readonly<Record<string, string | number | null>>;

interface Golden extends Readonly<Record<Masking, Row>> {
  readonly name: string;
  readonly message: RecordChanges & { readonly body: Row };
  /** Without what is masked, which stands under its masking. */
  readonly row: Row & { readonly create_date: string; readonly event_id: string };
}

const golden = readFileSync(new URL('golden-rows.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Golden);

/** @param again which of them were received before, by their places */
function messages(again: (place: number) => boolean = () => false): SQSRecord[] {
  return golden.map(({ message: { body, ...changes } }, place) =>
    record(body, { ...changes, receiveCount: again(place) ? 2 : 1 }),
  );
}

/** The statement that rows come by. */
type Way = 'COPY' | 'INSERT';
const WAYS: readonly Way[] = ['COPY', 'INSERT'];

beforeAll(async () => {
  await database.client.query(`
    CREATE TABLE ways (event_id uuid, way text);
    CREATE FUNCTION note_way() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO ways
      SELECT NEW.event_id, substring(current_query() FROM '(COPY|INSERT)(?: INTO)? user_logins');
      RETURN NULL;
    END $$;
    CREATE TRIGGER note_way AFTER INSERT ON user_logins FOR EACH ROW EXECUTE FUNCTION note_way()`);
});
beforeEach(async () => {
  await database.client.query('TRUNCATE ways');
});

/** COPY gives way to INSERT where it meets a row that is there. */
async function deliver(
  { invoke }: FunctionUnderTest,
  batch: readonly SQSRecord[],
  way: Way = 'COPY',
): Promise<void> {
  const there = way === 'INSERT' ? [record()] : [];
  await invoke(there);
  expect(await invoke([...batch, ...there])).toEqual([]);
}

const goldenIds = golden.map(({ row }) => row.event_id);

async function expectWay(way: Way, ids: readonly string[] = goldenIds): Promise<void> {
  const ways = await database.rows('SELECT DISTINCT way FROM ways WHERE event_id = ANY ($1)', [ids]);
  expect(ways).toEqual([{ way }]);
}

/** Dates and ids as text, because pg would make values of its own of them. */
const STORED = `
  SELECT user_id, device_type, masked_ip, masked_device_id, locale, app_version,
    create_date::text, event_id::text
  FROM user_logins`;

function keyOf({ create_date, event_id }: Row): string {
  return `${create_date} ${event_id}`;
}

async function expectGolden(masking: Masking = 'recoverable'): Promise<void> {
  const stored = new Map((await database.rows<Row>(STORED)).map((row) => [keyOf(row), row]));
  expect(golden.map(({ name, row }) => ({ name, ...stored.get(keyOf(row)) }))).toEqual(
    golden.map(({ name, row, [masking]: tokens }) => ({ name, ...row, ...tokens })),
  );
}

describe.each<Masking>(['recoverable', 'irreversible'])('rows are what they always were, %s,', (masking) => {
  it.each(WAYS)('by %s', async (way) => {
    await deliver(createFunction({ databaseUrl: database.url, masking }), messages(), way);

    await expectWay(way);
    await expectGolden(masking);
  });

  it('by COPY around a row that the table refuses', async () => {
    const { invoke } = createFunction({ databaseUrl: database.url, masking });
    const refused = record(loginEvent({ user_id: 'refused' }));
    await database.client.query(`ALTER TABLE user_logins ADD CONSTRAINT refuse CHECK (user_id <> 'refused')`);
    try {
      expect(await invoke(messages().toSpliced(40, 0, refused))).toEqual([refused.messageId]);
    } finally {
      await database.client.query('ALTER TABLE user_logins DROP CONSTRAINT refuse');
    }

    await expectWay('COPY');
    await expectGolden(masking);
  });

  it.each<[string, (place: number) => boolean]>([
    ['all', () => true],
    ['half', (place) => place % 2 === 1],
  ])('where %s of the messages were received before', async (_name, again) => {
    await deliver(createFunction({ databaseUrl: database.url, masking }), messages(again));

    await expectGolden(masking);
  });

  it('where half of them are there already', async () => {
    const { invoke, reports } = createFunction({ databaseUrl: database.url, masking });
    const half = golden.length >> 1;
    await invoke(messages().slice(0, half));

    expect(await invoke(messages(() => true))).toEqual([]);

    expect(reports.at(-1)).toMatchObject({ stored: golden.length - half, duplicates: half });
    await expectGolden(masking);
  });
});

/** As many bytes as rows can have, and as many as can be for each UTF-16 unit. */
function wideRecords(count: number): SQSRecord[] {
  const euros = (length: number) => '\u20ac'.repeat(length);
  const wide = { user_id: euros(128), device_type: euros(32), locale: euros(32), device_id: euros(53) };
  return Array.from({ length: count }, () => record(loginEvent(wide)));
}

describe.each(WAYS)('rows are what they always were, by %s, whatever is around them:', (way) => {
  it('nothing', async () => {
    const created = createFunction({ databaseUrl: database.url });

    for (const message of messages()) await deliver(created, [message], way);

    await expectWay(way);
    await expectGolden();
  });

  it('themselves in the opposite order', async () => {
    await deliver(createFunction({ databaseUrl: database.url }), messages().reverse(), way);

    await expectWay(way);
    await expectGolden();
  });

  const makers = { ordinary: records, wide: wideRecords };
  const others = ([1, 63, 449, 2_000] as const).flatMap((count) =>
    (['ordinary', 'wide'] as const).map((kind) => ({ count, kind })),
  );
  it.each(others)('$count $kind rows before them, and some between them', async ({ count, kind }) => {
    const make = makers[kind];
    const spread = messages().flatMap((message) => [...make(count % 10), message]);

    await deliver(createFunction({ databaseUrl: database.url }), [...make(count), ...spread], way);

    await expectWay(way);
    await expectGolden();
  });
});

it('rows of every size come as they were sent, each alone', async () => {
  const created = createFunction({ databaseUrl: database.url });
  const users = Array.from({ length: 128 }, (_, i) => 'u'.repeat(i + 1));
  const batch = ['d', 'd'.repeat(100)].flatMap((device_id) =>
    users.map((user_id) => record(loginEvent({ user_id, device_id }))),
  );

  for (const message of batch) await deliver(created, [message]);

  await expectWay(
    'COPY',
    batch.map(({ messageId }) => messageId),
  );
  const stored = await database.rows('SELECT user_id FROM user_logins ORDER BY length(user_id)');
  expect(stored).toEqual(users.flatMap((user_id) => [{ user_id }, { user_id }]));
});

describe.each(WAYS)('rows are what they always were, by %s, whatever the habits', (way) => {
  afterEach(() => {
    vi.unstubAllEnvs();
  });

  it.each(['Pacific/Kiritimati', 'America/Los_Angeles', 'Europe/Moscow'])(
    "of the function's machine: its clock is that of %s",
    async (zone) => {
      vi.stubEnv('TZ', zone);
      expect(new Date(0).getTimezoneOffset()).not.toBe(0);

      await deliver(createFunction({ databaseUrl: database.url }), messages(), way);

      await expectGolden();
    },
  );

  it('of the database: dates the other way round, another zone, backslashes that escape, NULL that is text', async () => {
    const name = new URL(database.url).pathname.slice(1);
    await database.client.query(`
      ALTER DATABASE ${name} SET DateStyle = 'SQL, DMY';
      ALTER DATABASE ${name} SET TimeZone = 'Pacific/Kiritimati';
      ALTER DATABASE ${name} SET standard_conforming_strings = off;
      ALTER DATABASE ${name} SET array_nulls = off;
      ALTER DATABASE ${name} SET client_encoding = 'LATIN1'`);
    try {
      await deliver(createFunction({ databaseUrl: database.url }), messages(), way);
    } finally {
      await database.client.query(`ALTER DATABASE ${name} RESET ALL`);
    }

    await expectGolden();
  });
});
