import { afterEach, describe, expect, it } from 'vitest';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { parseKeyset } from '../../lambda/masking/keyset.ts';
import { type Login, withClient } from '../../lambda/postgres/connection.ts';
import { migrate } from '../../lambda/postgres/schema/schema.ts';
import { createWriteProbe } from '../../lambda/write-probe.ts';
import { useDatabase } from '../support/database.ts';
import { keyset, useFunctions } from '../support/function.ts';
import { memoryLog } from '../support/log.ts';
import { records } from '../support/records.ts';
import { uniqueRoles } from '../support/roles.ts';

const database = useDatabase();
const createFunction = useFunctions();

interface ProbeOptions {
  readonly login?: Login;
  readonly keys?: typeof keyset;
  readonly milliseconds?: number;
}

/** One probe. @returns why it failed, as the circuit breaker is told; undefined when it went well */
async function probe({ login = database.login, keys = keyset, milliseconds = 10_000 }: ProbeOptions = {}) {
  const resources = { login, keyset: () => Promise.resolve(keys), masking: 'recoverable' } as const;
  const run = createWriteProbe(loginEvents, resources, memoryLog().log);
  const end = performance.now() + milliseconds;
  try {
    await run({}, { getRemainingTimeInMillis: () => end - performance.now() });
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

describe('the probe', () => {
  afterEach(async () => {
    await database.client.query(`
      ALTER TABLE IF EXISTS gone RENAME TO user_logins;
      ALTER TABLE user_logins DROP CONSTRAINT IF EXISTS refuse;
      DROP FUNCTION IF EXISTS on_insert CASCADE;
      TRUNCATE user_logins_keys`);
  });

  it('succeeds where a write would, and leaves nothing behind: no row, no key', async () => {
    expect(await probe()).toBeUndefined();

    expect(await database.count()).toBe(0);
    expect(await database.rows('SELECT FROM user_logins_keys')).toEqual([]);
  });

  it('needs no more rights than the writer has', async () => {
    const roles = uniqueRoles();
    await withClient(database.login, (client) => migrate(client, loginEvents, { roles }));
    await database.client.query(`ALTER ROLE ${roles.writer} PASSWORD 'probe'`);
    const url = Object.assign(new URL(database.url), { username: roles.writer, password: 'probe' }).href;
    try {
      expect(await probe({ login: { kind: 'url', url } })).toBeUndefined();

      await database.client.query(`REVOKE INSERT ON user_logins FROM ${roles.writer}`);
      expect(await probe({ login: { kind: 'url', url } })).toContain('(42501)');
    } finally {
      for (const role of [roles.writer, roles.reader]) {
        await database.client.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
      }
    }
  });

  it('goes well where only this row is refused, because the database is there', async () => {
    await database.client.query(
      `ALTER TABLE user_logins ADD CONSTRAINT refuse CHECK (user_id LIKE 'customer-%')`,
    );

    expect(await probe()).toBeUndefined();
  });

  it('goes well where a trigger refuses this row', async () => {
    await database.client.query(onInsert(`RAISE EXCEPTION 'no such user %', NEW.user_id`));

    expect(await probe()).toBeUndefined();
  });

  it.each([
    ['the table is missing', 'ALTER TABLE user_logins RENAME TO gone', '(42P01)'],
    ['rows are dropped in silence', onInsert('RETURN NULL'), 'a trigger drops it'],
    ['the disk is full', onInsert(`RAISE EXCEPTION 'full' USING ERRCODE = '53100'`), '(53100)'],
    [
      'the table was written with another key',
      `INSERT INTO user_logins_keys VALUES ('k1', 'other')`,
      'key "k1"',
    ],
  ])('fails where %s', async (_name, breakIt, reason) => {
    await database.client.query(breakIt);

    expect(await probe()).toContain(reason);
  });

  it('fails where nobody answers', async () => {
    expect(await probe({ login: { kind: 'url', url: 'postgres://nobody@127.0.0.1:1/none' } })).toContain(
      '(ECONNREFUSED)',
    );
  });

  it('fails in time where the table is locked', async () => {
    const reason = await withClient(database.login, async (client) => {
      await client.query('BEGIN; LOCK TABLE user_logins IN ACCESS EXCLUSIVE MODE');
      return probe({ milliseconds: 3_000 });
    });

    expect(reason).toContain('(57014)');
  });

  it('fails where the keyset has another key than the one that wrote the table', async () => {
    const { invoke } = createFunction({ databaseUrl: database.url });
    await invoke(records(1));
    const other = parseKeyset(JSON.stringify({ primary: 'k1', k1: 'x'.repeat(43) }));

    expect(await probe()).toBeUndefined();
    expect(await probe({ keys: other })).toContain('key "k1"');
  });
});

/** A trigger that does so for every row. */
function onInsert(statement: string): string {
  return `
    CREATE FUNCTION on_insert() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${statement}; RETURN NEW; END $$;
    CREATE TRIGGER on_insert BEFORE INSERT ON user_logins FOR EACH ROW EXECUTE FUNCTION on_insert()`;
}
