import { beforeEach, describe, expect, it } from 'vitest';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { fillAliases } from '../../lambda/postgres/rekey/aliases.ts';
import { migrate } from '../../lambda/postgres/schema/schema.ts';
import { useDatabase } from '../support/database.ts';
import { takeBackToFirstView } from '../support/first-view.ts';
import { useFunctions } from '../support/function.ts';
import { KEYSETS, repeatsOf, Truth } from '../support/rekey.ts';
import { SILENT } from '../support/rekey-table.ts';

const database = useDatabase({ empty: true });
const createFunction = useFunctions();

const ROTATION = { from: 'k1', to: 'k2' };

function write(key: keyof typeof KEYSETS, truth: Truth): Promise<string[]> {
  const keysetSource = () => Promise.resolve(KEYSETS[key]);
  return createFunction({ databaseUrl: database.url, keysetSource }).invoke(truth.records(200));
}

beforeEach(async () => {
  await database.client.query('DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public');
});

describe('views of an installation of an earlier version', () => {
  it.each([
    ['put no mark on its view', false],
    ['put a mark on its view', true],
  ])(
    'that %s count a value under two keys as one, for whoever might read them before',
    async (_name, marked) => {
      const { client } = database;
      await migrate(client, loginEvents);
      await takeBackToFirstView(client, { marked });
      await client.query('GRANT SELECT ON user_login_repeats TO PUBLIC');
      const truth = new Truth();
      await write('k1', truth);

      await migrate(client, loginEvents);
      await fillAliases(client, loginEvents, KEYSETS.k2, ROTATION, SILENT);
      await write('k2', truth);

      expect(await repeatsOf(database)).toEqual(truth.repeats());
      await truth.expectEqualValuesToBeEqual(database, 'user_logins_current');
      expect(
        await database.rows(
          `SELECT has_table_privilege('public', 'user_login_repeats', 'SELECT') AS granted`,
        ),
      ).toEqual([{ granted: true }]);
    },
  );
});

describe('the view of current tokens', () => {
  it('has the columns of the table, in its order', async () => {
    await migrate(database.client, loginEvents);

    const columns = (relation: string) =>
      database.rows(
        'SELECT column_name FROM information_schema.columns WHERE table_name = $1 ORDER BY ordinal_position',
        [relation],
      );

    expect(await columns('user_logins_current')).toEqual(await columns('user_logins'));
  });

  it('stays as somebody has changed it, which is said', async () => {
    await migrate(database.client, loginEvents);
    await database.client.query(
      `CREATE OR REPLACE VIEW user_logins_current AS
       SELECT user_id, device_type, masked_ip::text, masked_device_id::text, locale, app_version, create_date, event_id,
              1 AS mine FROM user_logins`,
    );
    const told: string[] = [];

    await migrate(database.client, loginEvents, { onOtherView: (view) => told.push(view) });

    expect(told).toEqual(['user_logins_current']);
  });
});
