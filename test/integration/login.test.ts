import { randomBytes } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { DatabaseFailure } from '../../lambda/errors.ts';
import { withClient } from '../../lambda/postgres/connection.ts';
import { createAuthority } from '../support/certificates.ts';
import { useDatabase } from '../support/database.ts';
import { useFunctions } from '../support/function.ts';
import { records } from '../support/records.ts';
import { tlsLogin } from '../support/tls.ts';

const database = useDatabase();
const createFunction = useFunctions();

describe('a login by TLS', () => {
  it('is encrypted, with a server that proves its name', async () => {
    const ssl = await withClient(tlsLogin(database.url), (client) =>
      client.query('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()'),
    );

    expect(ssl.rows).toEqual([{ ssl: true }]);
  });

  it.each([
    [
      'whose authority is another',
      { certificates: async () => [createAuthority('Vizard Test CA').certificate] },
      /^(UNABLE_TO_VERIFY_LEAF_SIGNATURE|CERT_SIGNATURE_FAILURE)$/,
    ],
    [
      'whose authority is one that Node trusts, where another is asked for',
      { certificates: async () => [] },
      /^UNABLE_TO_VERIFY_LEAF_SIGNATURE$/,
    ],
    ['whose certificate is for another name', { host: '127.0.0.1' }, /^ERR_TLS_CERT_ALTNAME_INVALID$/],
  ])('refuses a server %s', async (_name, changes, code) => {
    const refused = withClient(tlsLogin(database.url, changes), async () => undefined);

    await expect(refused).rejects.toThrow(DatabaseFailure);
    await expect(refused).rejects.toMatchObject({ code: expect.stringMatching(code) });
  });
});

describe('a password that is a token', () => {
  const user = `iam_${randomBytes(4).toString('hex')}`;
  let token = '';
  let asked = 0;
  const login = () =>
    tlsLogin(database.url, {
      user,
      async password() {
        asked++;
        return token;
      },
    });
  const setToken = async (text: string) => {
    await database.client.query(`ALTER ROLE ${user} PASSWORD '${text}'`);
  };
  const endConnections = () =>
    database.client.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1', [
      user,
    ]);

  beforeAll(async () => {
    await database.client.query(`CREATE ROLE ${user} LOGIN; GRANT ALL ON user_logins TO ${user}`);
  });

  it('is asked for once a connection, again for the next one', async () => {
    const { invoke } = createFunction({ login: login() });
    asked = 0;
    token = 'first';
    await setToken('first');
    await invoke(records(2));
    await invoke(records(2));
    expect(asked).toBe(1);

    token = 'second';
    await setToken('second');
    await endConnections();
    expect(await invoke(records(2))).toEqual([]);

    expect(asked).toBe(2);
    expect(await database.count()).toBe(6);
  });

  it('that is refused is asked for once more within the invocation', async () => {
    await setToken('good');
    token = 'old';
    asked = 0;
    const given = login();
    const { invoke, log } = createFunction({
      login: {
        ...given,
        async password() {
          const text = await given.password();
          token = 'good';
          return text;
        },
      },
    });

    expect(await invoke(records(2))).toEqual([]);

    expect(asked).toBe(2);
    expect(log.map(({ code }) => code)).toContain('28P01');
  });

  it('that is refused twice fails the batch', async () => {
    await setToken('good');
    token = 'old';
    asked = 0;
    const { invoke, failures } = createFunction({ login: login() });

    await expect(invoke(records(2))).rejects.toThrow('the database refuses the credentials (28P01)');

    expect(asked).toBe(2);
    expect(failures).toMatchObject([{ name: 'DatabaseFailure', code: '28P01' }]);
  });

  it('that cannot be had fails the batch with its own reason', async () => {
    const { invoke } = createFunction({
      login: {
        ...login(),
        password: () => Promise.reject(new DatabaseFailure('no token', 'CredentialsProviderError')),
      },
    });

    await expect(invoke(records(2))).rejects.toThrow('no token (CredentialsProviderError)');
  });
});
