import { describe, expect, it } from 'vitest';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { runMigration } from '../../lambda/migration.ts';
import { secretArn, useAwsServer } from '../support/aws-server.ts';
import { useDatabase } from '../support/database.ts';
import { runEntryPoint } from '../support/lambda-process.ts';
import { memoryLog } from '../support/log.ts';
import { uniqueRoles } from '../support/roles.ts';
import { tlsLogin } from '../support/tls.ts';

const database = useDatabase({ empty: true });
const aws = useAwsServer();

const ARN = secretArn('administrator');
const { port, pathname } = new URL(database.url);
const DATA = { Host: '127.0.0.1', Port: port, Database: pathname.slice(1) };

async function tables(): Promise<string[]> {
  const rows = await database.rows<{ name: string }>(
    `SELECT relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1`,
  );
  return rows.map(({ name }) => name);
}

const TABLES = [
  'pii_audit',
  'pii_audit_pkey',
  'user_login_repeats',
  'user_logins',
  'user_logins_aliases',
  'user_logins_aliases_pkey',
  'user_logins_current',
  'user_logins_event_key',
  'user_logins_keys',
  'user_logins_keys_pkey',
  'user_logins_rekey_groups',
  'user_logins_rekeys',
  'user_logins_rekeys_pkey',
];

describe('the migration function', () => {
  it('leaves everything as it is when the resource is deleted, without looking at its configuration', async () => {
    const { lines } = await runEntryPoint('migrate', {}, [
      { RequestType: 'Delete', PhysicalResourceId: 'of-before' },
    ]);

    expect(lines).toEqual([{ response: { PhysicalResourceId: 'of-before' } }]);
    expect(await tables()).toEqual([]);
  });

  it('brings the schema up, however often and by whatever event, and says where the database is', async () => {
    const events = [
      { RequestType: 'Create', ResourceProperties: { Version: '1' } },
      { RequestType: 'Update', PhysicalResourceId: 'schema', ResourceProperties: { Version: '2' } },
      {},
      null,
    ];

    const { lines, output } = await runEntryPoint('migrate', { DATABASE_URL: database.url }, events);

    const answers = lines.filter((line) => 'response' in line);
    expect(answers).toEqual(events.map(() => ({ response: { PhysicalResourceId: 'schema', Data: DATA } })));
    expect(lines.filter((line) => 'level' in line).map(({ message }) => message)).toEqual([
      'created table user_logins',
      ...events.map(() => 'user_logins is up to date'),
    ]);
    expect(output).not.toContain(new URL(database.url).password);
    expect(await tables()).toEqual(TABLES);
  });

  it.each([
    ['DATABASE_URL', '', /^DATABASE_URL: expected a value, got nothing/],
    [
      'DATABASE_URL',
      'postgres://u:CANARY@127.0.0.1:1/db',
      /not migrated; check host, port .*\(ECONNREFUSED\)$/,
    ],
    ['DATABASE_URL', 'WRONG-PASSWORD', /not migrated; check that user and password .*\(28P01\)$/],
    [
      'DATABASE_SECRET_ARN',
      ARN,
      /^DATABASE_SECRET_ARN: expected a secret that can be read, got ResourceNotFound/,
    ],
  ])('fails with one line where %s is %s', async (name, value, message) => {
    const wrong = Object.assign(new URL(database.url), { password: 'CANARY' }).href;
    const env = { ...aws.env(), [name]: value === 'WRONG-PASSWORD' ? wrong : value };

    const { lines, output } = await runEntryPoint('migrate', env, [{ RequestType: 'Create' }]);

    const answer = lines.find((line) => 'errorMessage' in line);
    expect(answer?.errorMessage).toMatch(message);
    expect(answer?.errorMessage).not.toContain('\n');
    expect(output).not.toContain('CANARY');
  });

  it('asks for the secret, and refuses a server whose certificate is not of RDS', async () => {
    aws.secrets.set(ARN, JSON.stringify({ username: 'postgres', password: 'CANARY-PASSWORD' }));
    const env = {
      ...aws.env(),
      DATABASE_SECRET_ARN: ARN,
      DATABASE_HOST: 'localhost',
      DATABASE_PORT: port,
      DATABASE_NAME: DATA.Database,
    };

    const { lines, output } = await runEntryPoint('migrate', env, [{ RequestType: 'Create' }]);

    expect(aws.requests).toEqual([`GetSecretValue ${ARN}`]);
    expect(lines.find((line) => 'errorMessage' in line)?.errorMessage).toMatch(
      /^the database was not migrated; check host.*\(UNABLE_TO_VERIFY_LEAF_SIGNATURE\)$/,
    );
    expect(output).not.toContain('CANARY');
  });

  it('brings the roles up where it is told to, and says so', async () => {
    const { log, lines } = memoryLog();
    const roles = uniqueRoles();
    const login = tlsLogin(database.url);

    const data = await runMigration(loginEvents, { login, roles }, log);

    expect(data).toEqual({ ...DATA, Host: 'localhost' });
    expect(lines.map(({ message }) => message)).toEqual(
      expect.arrayContaining([`created role ${roles.writer}`, `created role ${roles.reader}`]),
    );
    await database.client.query(`DROP OWNED BY ${roles.writer}, ${roles.reader}`);
  });
});
