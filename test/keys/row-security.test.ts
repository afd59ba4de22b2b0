import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { migrate } from '../../lambda/postgres/schema/schema.ts';
import { useCli } from '../support/cli.ts';
import { useDatabase } from '../support/database.ts';
import { useFunctions } from '../support/function.ts';
import { loginEvent, record } from '../support/records.ts';
import { KEYSET_TEXTS, KEYSETS } from '../support/rekey.ts';
import { uniqueRoles } from '../support/roles.ts';

const database = useDatabase({ empty: true });
const createFunction = useFunctions();
const createCli = useCli();
const roles = uniqueRoles();
const PASSWORD = 'stands-for-a-token';

beforeAll(async () => {
  await migrate(database.client, loginEvents, { roles });
  const keysetSource = () => Promise.resolve(KEYSETS.k1);
  const event = record(loginEvent({ ip: '203.0.113.7' }));
  expect(await createFunction({ databaseUrl: database.url, keysetSource }).invoke([event])).toEqual([]);
  await database.client.query(`ALTER ROLE ${roles.custodian} PASSWORD '${PASSWORD}';
    ALTER TABLE user_logins ENABLE ROW LEVEL SECURITY;
    CREATE POLICY stores ON user_logins FOR INSERT TO ${roles.writer} WITH CHECK (true)`);
});

describe('where row level security hides rows from who asks', () => {
  it.each([
    [['rekey', '--from', 'k1', '--to', 'k2']],
    [['keys', 'retire', 'k1']],
    [['keys', 'list']],
    [['erase', '--ip', '203.0.113.7', '--yes']],
    [['lookup', '--ip', '203.0.113.7']],
  ])('%j fails, and does not take them for rows that are not there', async (args) => {
    const { directory, run } = createCli();
    writeFileSync(join(directory, 'keyset.json'), KEYSET_TEXTS.k2);
    const url = Object.assign(new URL(database.url), { username: roles.custodian, password: PASSWORD }).href;
    const reason = args.includes('list') ? [] : ['--reason', 'ticket 4711'];

    const { exitCode, stdout, stderr } = await run([
      ...args,
      ...reason,
      ...['--keyset', 'keyset.json', '--database-url', url],
    ]);

    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toMatch(/\(42501\); log in as a role .* from which no row level security hides rows\n$/);
    expect(await database.count()).toBe(1);
  });
});
