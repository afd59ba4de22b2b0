import { beforeEach, expect, it } from 'vitest';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { identify } from '../../lambda/events/parse.ts';
import { withClient } from '../../lambda/postgres/connection.ts';
import { migrate } from '../../lambda/postgres/schema/schema.ts';
import { findEvents, findStatement } from '../../lambda/postgres/write/find-events.ts';
import { useDatabase } from '../support/database.ts';
import { useFunctions } from '../support/function.ts';
import { keep, recordOf, TODAY } from '../support/partitions.ts';

const database = useDatabase({ empty: true });
const createFunction = useFunctions();

beforeEach(async () => {
  await migrate(database.client, loginEvents, { partitions: { today: TODAY } });
  await keep(database, TODAY, 3);
});

it('finds the events that are there, each by its day, and locks the partitions of those days only', async () => {
  const there = [TODAY, TODAY + 1, TODAY].map((day) => recordOf(day));
  const { invoke } = createFunction({ databaseUrl: database.url });
  await invoke(there);
  const [first, second, third] = identify(there);
  const otherDay = { ...first!, date: second!.date };
  const [missing] = identify([recordOf(TODAY)]);

  const { found, locked } = await withClient(database.login, async (client) => {
    await client.query('BEGIN');
    const events = [first!, missing!, otherDay, second!, third!];
    const found = await findEvents(client, findStatement(loginEvents), events);
    const { rows } = await client.query<{ name: string }>(
      `SELECT relation::regclass::text AS name FROM pg_locks JOIN pg_class c ON c.oid = relation
       WHERE pid = pg_backend_pid() AND relkind = 'r' AND relname LIKE 'user_logins%' ORDER BY 1`,
    );
    return { found, locked: rows.map(({ name }) => name) };
  });

  expect(found).toEqual([first, second, third]);
  expect(locked).toEqual(['user_logins_20231114', 'user_logins_20231115']);
});
