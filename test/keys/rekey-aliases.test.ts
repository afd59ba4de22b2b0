import { beforeEach, describe, expect, it } from 'vitest';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { withClient } from '../../lambda/postgres/connection.ts';
import { dropFormerAliases, fillAliases } from '../../lambda/postgres/rekey/aliases.ts';
import { migrate } from '../../lambda/postgres/schema/schema.ts';
import { useCli } from '../support/cli.ts';
import { KEYSETS, rekeyArguments, repeatsOf } from '../support/rekey.ts';
import { around } from '../support/rekey-run.ts';
import { SILENT, useRekeyTable } from '../support/rekey-table.ts';

const table = useRekeyTable();
const { database } = table;
const createCli = useCli();

beforeEach(() => table.make('plain'));

describe('a promotion over what an unfinished rekey has left', () => {
  it.each([
    ['to a third key', 'k3', { from: 'k2', to: 'k3' }],
    ['back to the first key', 'k1', { from: 'k2', to: 'k1' }],
  ] as const)('%s leaves the views whole at every moment', async (_name, key, rotation) => {
    await table.writer('k1').invoke(table.truth.records(6_000));
    await fillAliases(database.client, loginEvents, KEYSETS.k2, { from: 'k1', to: 'k2' }, SILENT);
    await table.writer('k2').invoke(table.truth.records(6_000));
    let looks = 0;

    await withClient(database.login, async (client) => {
      around(client, /^(INSERT|UPDATE|DELETE|COMMIT)/, async (statement) => {
        const result = await statement();
        looks++;
        expect(await repeatsOf(database)).toEqual(table.truth.repeats());
        return result;
      });
      await fillAliases(client, loginEvents, KEYSETS[key], rotation, SILENT);
      await dropFormerAliases(client, loginEvents, rotation.to);
    });

    expect(looks).toBeGreaterThan(5);
    await table.truth.expectEqualValuesToBeEqual(database, 'user_logins_current');
    const other = await database.rows(
      `SELECT FROM user_logins_aliases WHERE NOT starts_with(current, 's1~${rotation.to}~')`,
    );
    expect(other).toEqual([]);
  });
});

it('a promotion to a third key leaves no alias to the second of a value that the table has no more', async () => {
  await table.writer('k1').invoke(table.truth.records(20));
  await fillAliases(database.client, loginEvents, KEYSETS.k2, { from: 'k1', to: 'k2' }, SILENT);
  await database.rows('DELETE FROM user_logins');

  await fillAliases(database.client, loginEvents, KEYSETS.k3, { from: 'k2', to: 'k3' }, SILENT);
  await dropFormerAliases(database.client, loginEvents, 'k3');

  expect(await database.rows('SELECT * FROM user_logins_aliases')).toEqual([]);
});

describe('views of a table whose columns have another collation', () => {
  it('find aliases by their index', async () => {
    await database.rows('DROP VIEW user_logins_current, user_login_repeats');
    await database.rows('ALTER TABLE user_logins ALTER masked_ip TYPE varchar(256) COLLATE "und-x-icu"');
    await migrate(database.client, loginEvents);
    await table.writer('k1').invoke(table.truth.records(100));
    await fillAliases(database.client, loginEvents, KEYSETS.k2, { from: 'k1', to: 'k2' }, SILENT);
    await database.rows(
      `INSERT INTO user_logins_aliases SELECT 's1~k9~' || n, 's1~k2~' || n FROM generate_series(1, 20000) AS n`,
    );
    await database.rows('ANALYZE user_logins_aliases');

    const plan = await database.rows<{ 'QUERY PLAN': string }>(
      `EXPLAIN SELECT masked_ip FROM user_logins_current WHERE user_id = 'user-5'`,
    );

    expect(plan.map((row) => row['QUERY PLAN']).join('\n')).toContain('using user_logins_aliases_pkey');
    const cli = createCli();
    expect((await cli.run(rekeyArguments(cli, database))).exitCode).toBe(0);
    await table.truth.expectEqualValuesToBeEqual(database);
  });
});
