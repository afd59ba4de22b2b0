import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { useDatabase } from '../support/database.ts';
import { tlsLogin } from '../support/tls.ts';
import { useLedger } from './ledger.ts';
import { planted } from './planted.ts';
import { terminate } from './server-side.ts';

const database = useDatabase();
const { createFunction, reconcile } = useLedger(database);

const user = `iam_${randomBytes(4).toString('hex')}`;
beforeAll(async () => {
  await database.client.query(
    `CREATE ROLE ${user} LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO ${user}`,
  );
});
afterAll(async () => {
  await database.client.query(`DROP OWNED BY ${user}; DROP ROLE ${user}`);
});

/** What the server takes from now on; open connections stay. */
async function setPassword(text: string): Promise<void> {
  await database.client.query(`ALTER ROLE ${user} PASSWORD '${text}'`);
}

/** What the function is given, one after the other; the last one stays. */
let passwords: string[] = [];
let asked = 0;
const login = () =>
  tlsLogin(database.url, {
    user,
    async password() {
      asked++;
      return passwords.length > 1 ? passwords.shift()! : passwords[0]!;
    },
  });
beforeEach(() => {
  asked = 0;
});

describe('a password', () => {
  it('that was changed between two invocations is fetched again for the next connection', async () => {
    const { invoke, log } = createFunction({ login: login() });
    await setPassword('CANARY-FIRST');
    passwords = ['CANARY-FIRST'];
    await invoke(planted(2));
    await invoke(planted(2));
    expect(asked).toBe(1);

    await setPassword('CANARY-SECOND');
    passwords = ['CANARY-SECOND'];
    await terminate(database);
    expect(await invoke(planted(2))).toEqual([]);

    expect(asked).toBe(2);
    expect(log.map(({ code }) => code)).not.toContain('28P01');
    await reconcile();
  });

  it('that is a token which has expired is fetched once more within the invocation', async () => {
    await setPassword('CANARY-FRESH');
    passwords = ['CANARY-EXPIRED', 'CANARY-FRESH'];
    const { invoke, log, reports } = createFunction({ login: login() });

    expect(await invoke(planted(2))).toEqual([]);

    expect(asked).toBe(2);
    expect(log.map(({ code }) => code)).toContain('28P01');
    expect(reports).toMatchObject([{ stored: 2 }]);
    await reconcile();
  });

  it('that is refused twice fails the batch', async () => {
    await setPassword('CANARY-FRESH');
    passwords = ['CANARY-EXPIRED'];
    const { invoke, failures } = createFunction({ login: login() });

    await expect(invoke(planted(2))).rejects.toThrow('the database refuses the credentials (28P01)');

    expect(asked).toBe(2);
    expect(failures).toMatchObject([{ name: 'DatabaseFailure', code: '28P01' }]);
    passwords = ['CANARY-FRESH'];
    await reconcile();
  });
});
