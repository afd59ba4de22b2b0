import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { SQSRecord } from 'aws-lambda';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SERVICE_MESSAGE, secretArn, useAwsServer } from '../support/aws-server.ts';
import { useDatabase } from '../support/database.ts';
import { runEntryPoint, runLambda } from '../support/lambda-process.ts';
import { KEYSET_JSON, loginEvent, record, records } from '../support/records.ts';

const database = useDatabase();
const aws = useAwsServer();

/** Every value that must not be read anywhere, in every spelling that could be. */
const CANARIES = [
  '198.51.100.234',
  'c633:64ea',
  '2001:db8:ca:7a7e::1',
  'CANARY-DEVICE',
  'CANARY-BODY',
  'CANARY-USER',
  'CANARY-MATERIAL',
  'CANARY-PASSWORD',
  SERVICE_MESSAGE,
];
/** What the table may hold as it came. */
const IN_TABLE = ['CANARY-USER'];

const canaryEvent = (changes: Record<string, unknown> = {}) =>
  loginEvent({
    user_id: 'CANARY-USER',
    ip: '198.51.100.234',
    device_id: 'CANARY-DEVICE',
    extra: 'CANARY-BODY',
    ...changes,
  });

function everyPath(): SQSRecord[] {
  const bad: unknown[] = [
    'CANARY-BODY is not JSON',
    '{"ip": "198.51.100.234", CANARY-BODY',
    '["CANARY-BODY"]',
    '"CANARY-BODY"',
    canaryEvent({ user_id: `CANARY-USER${'x'.repeat(200)}` }),
    canaryEvent({ user_id: 'CANARY-USER\0' }),
    canaryEvent({ user_id: undefined }),
    canaryEvent({ ip: '198.51.100.234/24' }),
    canaryEvent({ ip: '2001:db8:ca:7a7e::1%eth0' }),
    canaryEvent({ ip: ['198.51.100.234'] }),
    canaryEvent({ device_id: `CANARY-DEVICE${'x'.repeat(200)}` }),
    canaryEvent({ device_id: { id: 'CANARY-DEVICE' } }),
    canaryEvent({ app_version: 'CANARY-BODY' }),
  ];
  return [
    record(canaryEvent()),
    record(canaryEvent({ ip: '2001:db8:ca:7a7e::1' })),
    ...bad.map((body) => record(body)),
    record(canaryEvent(), { attributes: { EventTime: 'CANARY-BODY' } }),
    record(canaryEvent(), { attributes: { EventId: 'CANARY-BODY' } }),
  ];
}

function env(changes: Record<string, string> = {}): Record<string, string> {
  return { DATABASE_URL: database.url, MASKING_KEYSET: KEYSET_JSON, ...changes };
}

function expectNoCanary(written: string): void {
  expect(CANARIES.filter((canary) => written.toLowerCase().includes(canary.toLowerCase()))).toEqual([]);
}

async function serverLog(): Promise<string> {
  const [row] = await database.rows<{ data_directory: string }>('SHOW data_directory');
  return readFileSync(join(dirname(row!.data_directory), 'server.log'), 'utf8');
}

async function wholeTable(): Promise<string> {
  const rows = await database.rows<{ row: string }>('SELECT user_logins::text AS row FROM user_logins');
  return rows.map(({ row }) => row).join('\n');
}

describe('no address, device id or body is written anywhere', () => {
  it('when messages are stored and rejected', async () => {
    const batch = everyPath();

    const { output, exitCode } = await runLambda(env(), [batch, batch]);

    expect(exitCode).toBe(0);
    expect(
      output.split('\n').filter((line) => line.includes('"rejected"') && line.includes('"messageId"')),
    ).toHaveLength(28);
    // The metrics are in what is searched.
    expect(output).toMatch(/"code":"json","Rejected":\d/);
    expectNoCanary(output);
    expectNoCanary(await serverLog());
    const table = await wholeTable();
    expect(table.split('\n')).toHaveLength(3);
    expect(CANARIES.filter((canary) => table.includes(canary))).toEqual(IN_TABLE);
  });

  it('when attributes, keys and bodies are such as no producer sends, and the logger is told to say more', async () => {
    const odd = (changes: object) => ({ ...record(canaryEvent()), ...changes }) as SQSRecord;
    const batch = [
      record(canaryEvent({ '198.51.100.234': { 'CANARY-BODY': 1 } })),
      record(`${'{"CANARY-BODY":'.repeat(20_000)}1${'}'.repeat(20_000)}`),
      record('{"__proto__":{"ip":"198.51.100.234"}}'),
      record(canaryEvent({ user_id: 'CANARY-USER\\N\t\\.\n' })),
      record(canaryEvent({ ip: '198.51.100.234:443' })),
      record(canaryEvent({ device_id: 'CANARY-DEVICE\ud800' })),
      record(canaryEvent(), { attributes: { EventId: '198.51.100.234' } }),
      record(canaryEvent(), { sentTimestamp: 'CANARY-BODY' }),
      odd({ messageAttributes: { EventId: { dataType: 'String', stringValue: { 'CANARY-BODY': 1 } } } }),
      odd({ body: { 'CANARY-BODY': 1 } }),
      odd({ body: undefined, attributes: undefined, messageAttributes: null }),
      odd({ receiptHandle: 'CANARY-BODY', eventSourceARN: 'CANARY-BODY', md5OfBody: 'CANARY-BODY' }),
    ];
    const talkative = { POWERTOOLS_LOG_LEVEL: 'DEBUG', POWERTOOLS_LOGGER_LOG_EVENT: 'true' };

    const { output, exitCode } = await runLambda(env(talkative), [batch, ...batch.map((odd) => [odd])]);

    expect(exitCode).toBe(0);
    expect(output).not.toContain('errorType');
    expectNoCanary(output);
    expectNoCanary(await serverLog());
    const table = await wholeTable();
    expect(CANARIES.filter((canary) => table.includes(canary))).toEqual(IN_TABLE);
  });

  it('by the irreversible scheme', async () => {
    const { output } = await runLambda(env({ MASKING: 'irreversible' }), [everyPath()]);

    expectNoCanary(output);
    const table = await wholeTable();
    expect(table).toMatch(/h1~k1~/);
    expect(CANARIES.filter((canary) => table.includes(canary))).toEqual(IN_TABLE);
  });

  it.each([
    ['is good', JSON.stringify({ primary: 'k1', k1: `CANARY-MATERIAL${'m'.repeat(43)}` }), /"Stored":3,/],
    ['is too short', '{"primary":"k1","k1":"CANARY-MATERIAL"}', /"KeysetUnreachable":1/],
    ['is not JSON', '{"primary":"k1","CANARY-MATERIAL', /got text that is not JSON/],
    [
      'is named by itself',
      '{"primary":"CANARY-MATERIAL","CANARY-MATERIAL":"k1"}',
      /\(a name of 15 characters\)/,
    ],
    ['is refused', { error: 'AccessDeniedException' }, /got AccessDeniedException/],
    ['fails in a way of its own', { error: 'CANARY-MATERIAL is a bad name' }, /KeysetFailure/],
  ])('when the keyset is a secret that %s', async (_name, secret, said) => {
    const arn = secretArn('keyset');
    aws.secrets.set(arn, secret);
    const secretEnv = env({ ...aws.env(), MASKING_KEYSET: '', MASKING_KEYSET_SECRET_ARN: arn });

    const { output, exitCode } = await runLambda(secretEnv, [everyPath()]);

    expect(exitCode).toBe(0);
    expect(output).toMatch(said);
    expectNoCanary(output);
  });

  it.each([
    [
      'is good',
      '{"username":"CANARY-USER","password":"CANARY-PASSWORD","host":"127.0.0.1","port":1,"dbname":"d"}',
    ],
    ['has no host', '{"username":"CANARY-USER","password":"CANARY-PASSWORD"}'],
    ['is not JSON', '{"password":"CANARY-PASSWORD'],
    ['is refused', { error: 'AccessDeniedException' }],
  ])("when the administrator's secret %s", async (_name, secret) => {
    const arn = secretArn('administrator');
    aws.secrets.set(arn, secret);

    const { output } = await runEntryPoint('migrate', { ...aws.env(), DATABASE_SECRET_ARN: arn }, [{}]);

    expect(output).toMatch(/SecretFailure|DatabaseFailure/);
    expectNoCanary(output);
  });

  it('when the database is away', async () => {
    const { output } = await runLambda(
      env({ DATABASE_URL: 'postgres://CANARY-USER:CANARY-BODY@127.0.0.1:1/x' }),
      [everyPath()],
    );

    expect(output).toContain('DatabaseFailure');
    expect(output).toContain('ECONNREFUSED');
    expectNoCanary(output);
  });

  it.each([
    ['MASKING_KEYSET', '{"primary":"k1","k1":"CANARY-BODY"}'],
    ['MASKING_KEYSET', '{"primary":"k1","CANARY-BODY'],
    ['DATABASE_URL', 'CANARY-BODY'],
    ['MASKING', 'CANARY-BODY'],
  ])('when %s is malformed', async (name, value) => {
    const { output, exitCode } = await runLambda(env({ [name]: value }), []);

    expect(exitCode).toBe(1);
    expect(output).toMatch(name === 'MASKING_KEYSET' ? /KeysetError/ : new RegExp(`ConfigError: ${name}`));
    expectNoCanary(output);
  });

  it.each(['DATABASE_URL', 'MASKING_KEYSET'])(
    'when %s is missing, and the variable is named',
    async (name) => {
      const { output, exitCode } = await runLambda(env({ [name]: '' }), []);

      expect(exitCode).toBe(1);
      expect(output).toContain(`${name}: expected a value, got nothing`);
    },
  );

  describe('when the database refuses', () => {
    const changes: [string, string, string][] = [
      [
        'a check',
        `ALTER TABLE user_logins ADD CONSTRAINT refuse CHECK (user_id <> 'CANARY-USER') NOT VALID`,
        'ALTER TABLE user_logins DROP CONSTRAINT refuse',
      ],
      [
        'a length',
        'DROP VIEW user_logins_current; ALTER TABLE user_logins ALTER device_type TYPE varchar(3)',
        'ALTER TABLE user_logins ALTER device_type TYPE varchar(32)',
      ],
      [
        'another unique index',
        'CREATE UNIQUE INDEX one_user ON user_logins (user_id)',
        'DROP INDEX one_user',
      ],
      [
        'a trigger that quotes the row',
        `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           RAISE EXCEPTION 'bad % %', NEW.user_id, NEW USING ERRCODE = '22000', DETAIL = NEW::text; END $$;
         CREATE TRIGGER refuse BEFORE INSERT ON user_logins FOR EACH ROW
           WHEN (NEW.user_id = 'CANARY-USER') EXECUTE FUNCTION refuse()`,
        'DROP FUNCTION refuse CASCADE',
      ],
      [
        'a trigger that names its rule after the row',
        `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           RAISE EXCEPTION 'bad' USING ERRCODE = '23514', COLUMN = NEW.user_id, CONSTRAINT = NEW.user_id,
             TABLE = NEW.user_id, SCHEMA = NEW.user_id, DATATYPE = NEW.user_id, HINT = NEW.user_id; END $$;
         CREATE TRIGGER refuse BEFORE INSERT ON user_logins FOR EACH ROW
           WHEN (NEW.user_id = 'CANARY-USER') EXECUTE FUNCTION refuse()`,
        'DROP FUNCTION refuse CASCADE',
      ],
      ['a missing table', 'ALTER TABLE user_logins RENAME TO gone', 'ALTER TABLE gone RENAME TO user_logins'],
    ];
    let undo = '';
    beforeEach(() => {
      undo = '';
    });
    afterEach(async () => {
      await database.client.query('TRUNCATE user_logins').catch(() => undefined);
      if (undo !== '') await database.client.query(undo);
    });

    it.each(changes)('%s', async (_name, ddl, undoing) => {
      await database.client.query(ddl);
      undo = undoing;

      const { output, exitCode } = await runLambda(env(), [[...everyPath(), ...records(20)]]);

      expect(exitCode).toBe(0);
      expect(output).toMatch(/"code":"(23514|22001|23505|22000)"|42P01/);
      expectNoCanary(output);
      expectNoCanary(await serverLog());
    });
  });
});
