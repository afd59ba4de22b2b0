import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { runMigration } from '../../lambda/migration.ts';
import { migrate } from '../../lambda/postgres/schema/schema.ts';
import { useDatabase } from '../support/database.ts';
import { memoryLog } from '../support/log.ts';
import { compact, rowsByPartition, TODAY } from '../support/partitions.ts';

const database = useDatabase({ empty: true });
const PARTITIONED = { partitions: { today: TODAY } };

beforeEach(async () => {
  await database.client.query('CREATE SCHEMA IF NOT EXISTS public');
  await migrate(database.client, loginEvents);
});
afterEach(async () => {
  await database.client.query('DROP SCHEMA public CASCADE; DROP PUBLICATION IF EXISTS theirs');
});

async function columns(): Promise<unknown[]> {
  return database.rows(
    `SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
     WHERE attrelid = 'user_logins'::regclass AND attnum > 0 ORDER BY attnum`,
  );
}

describe('a deployment with retention', () => {
  it.each([
    [
      'rows without a date',
      `INSERT INTO user_logins (user_id) VALUES ('u'), ('v')`,
      /expected a create_date in every row, got 2 without/,
    ],
    [
      'a primary key',
      'ALTER TABLE user_logins ADD id int PRIMARY KEY DEFAULT 1',
      /got constraint user_logins_pkey/,
    ],
    ['another unique index', 'CREATE UNIQUE INDEX one ON user_logins (user_id)', /got unique index one/],
    [
      'a trigger',
      'CREATE TRIGGER t BEFORE UPDATE ON user_logins EXECUTE FUNCTION suppress_redundant_updates_trigger()',
      /got trigger t/,
    ],
    ['a view of somebody', 'CREATE VIEW theirs AS SELECT user_id FROM user_logins', /got view theirs/],
    [
      'a foreign key',
      'CREATE TABLE other (d date, e uuid, FOREIGN KEY (d, e) REFERENCES user_logins (create_date, event_id))',
      /got constraint other_d_e_fkey/,
    ],
    [
      'a place in a publication',
      'CREATE PUBLICATION theirs FOR TABLE user_logins',
      /got its place in publication theirs/,
    ],
    ['row level security', 'ALTER TABLE user_logins ENABLE ROW LEVEL SECURITY', /got row level security/],
    [
      'row level security for its owner',
      'ALTER TABLE user_logins FORCE ROW LEVEL SECURITY',
      /got row level security/,
    ],
    ['a policy', 'CREATE POLICY p ON user_logins USING (true)', /got policy p/],
    [
      'an identity column',
      'ALTER TABLE user_logins ADD id int GENERATED ALWAYS AS IDENTITY',
      /got (identity of column id|sequence user_logins_id_seq)/,
    ],
    ['a serial column', 'ALTER TABLE user_logins ADD id serial', /got sequence user_logins_id_seq/],
    ['an heir', 'CREATE TABLE heir () INHERITS (user_logins)', /got inheritance/],
  ])('refuses a table with %s in one line, and leaves it as it was', async (_name, ddl, message) => {
    await database.client.query(ddl);
    const before = await columns();

    const migration = migrate(database.client, loginEvents, PARTITIONED);

    await expect(migration).rejects.toThrow(message);
    await expect(migration).rejects.toThrow(/^table user_logins: expected [^\n]+; [^\n]+$/);
    expect(await columns()).toEqual(before);
    expect(await database.rows(`SELECT FROM pg_class WHERE relkind = 'p'`)).toEqual([]);
  });
});

describe('a publication of all tables', () => {
  it('that publishes deletes fails a deployment and the maintenance with what to do, and then they go on', async () => {
    await database.client.query(
      `INSERT INTO user_logins (user_id, create_date) VALUES ('u', '${compact(TODAY)}'), ('v', '${compact(TODAY + 1)}')`,
    );
    await database.client.query('CREATE PUBLICATION theirs FOR ALL TABLES');
    const { log } = memoryLog();
    const [login, advice] = [database.login, /; a publication that .* REPLICA IDENTITY FULL.* \(55000\)$/];

    const migration = () => runMigration(loginEvents, { login, ...PARTITIONED }, log);
    await expect(migration()).rejects.toThrow(advice);
    await database.client.query('ALTER TABLE user_logins REPLICA IDENTITY FULL');
    await expect(migration()).rejects.toThrow(advice);
    await database.client.query('ALTER TABLE user_logins_default REPLICA IDENTITY FULL');
    await migration();

    expect(await rowsByPartition(database)).toEqual({ [compact(TODAY + 1)]: 1, history: 1 });
  });
});
