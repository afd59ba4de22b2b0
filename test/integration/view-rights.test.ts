import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { migrate } from '../../lambda/postgres/schema/schema.ts';
import { useDatabase } from '../support/database.ts';
import { takeBackToFirstView } from '../support/first-view.ts';
import { useFunctions } from '../support/function.ts';
import { Truth } from '../support/rekey.ts';
import { uniqueRoles } from '../support/roles.ts';

const database = useDatabase({ empty: true });
const createFunction = useFunctions();
const roles = uniqueRoles();
const owner = `owner_${roles.writer}`;
const analyst = `analyst_${roles.writer}`;

const run = (sql: string) => database.client.query(sql);

async function countAs(role: string, relation: string): Promise<number> {
  await run(`SET ROLE ${role}`);
  const { rows } = await run(`SELECT count(*)::int FROM ${relation}`);
  await run('RESET ROLE');
  return rows[0].count;
}

beforeAll(async () => {
  await run(`CREATE ROLE ${owner}; CREATE ROLE ${analyst}`);
});
afterAll(async () => {
  await run(
    `RESET ROLE; DROP SCHEMA public CASCADE; DROP OWNED BY ${owner}, ${analyst}; DROP ROLE ${owner}, ${analyst}`,
  );
});
beforeEach(async () => {
  await run(`RESET ROLE; DROP SCHEMA public CASCADE; CREATE SCHEMA public; GRANT ALL ON SCHEMA public TO ${owner};
    GRANT USAGE ON SCHEMA public TO ${analyst}; SET ROLE ${owner}`);
  await migrate(database.client, loginEvents);
  await takeBackToFirstView(database.client);
  await run(`GRANT SELECT ON user_login_repeats TO ${analyst}; RESET ROLE`);
});

describe('an earlier installation of another owner, migrated by an administrator', () => {
  it.each([
    ['by URL', {}],
    ['with roles', { roles }],
  ])('lets everybody read the view of repeats as before, %s', async (_name, options) => {
    await migrate(database.client, loginEvents, options);

    expect(await createFunction({ databaseUrl: database.url }).invoke(new Truth().records(100))).toEqual([]);
    for (const role of [owner, analyst]) {
      expect(await countAs(role, 'user_login_repeats')).toBeGreaterThan(0);
    }
    if ('roles' in options) expect(await countAs(roles.reader, 'user_logins_current')).toBe(100);
  });
});

it('whoever analyses reads views that somebody made read with the rights of who asks', async () => {
  await migrate(database.client, loginEvents, { roles });
  await run(
    'ALTER VIEW user_login_repeats SET (security_invoker); ALTER VIEW user_logins_current SET (security_invoker)',
  );
  expect(await createFunction({ databaseUrl: database.url }).invoke(new Truth().records(100))).toEqual([]);

  expect(await countAs(roles.reader, 'user_logins_current')).toBe(100);
  expect(await countAs(roles.reader, 'user_login_repeats')).toBeGreaterThan(0);
});
