import { beforeAll, describe, expect, it } from 'vitest';
import { loginEvents, loginEventsWith } from '../../lambda/events/login-event.ts';
import { withClient } from '../../lambda/postgres/connection.ts';
import { migrate } from '../../lambda/postgres/schema/schema.ts';
import { createWriteProbe } from '../../lambda/write-probe.ts';
import { useDatabase } from '../support/database.ts';
import { keyset, useFunctions } from '../support/function.ts';
import { memoryLog } from '../support/log.ts';
import { record, records } from '../support/records.ts';
import { createKeyPair } from '../support/recovery-key.ts';
import { uniqueRoles } from '../support/roles.ts';
import { tlsLogin } from '../support/tls.ts';
import { useVault } from '../support/vault.ts';

const PASSWORD = 'stands-for-a-token';

describe('the writer, which may only INSERT into the vault,', () => {
  const database = useDatabase();
  const createFunction = useFunctions();
  const { sealing, expectValuesOf, counts } = useVault(database);
  const roles = uniqueRoles();
  const login = tlsLogin(database.url, { user: roles.writer, password: async () => PASSWORD });
  beforeAll(async () => {
    await migrate(database.client, loginEvents, { roles, vault: true });
    await database.client.query(`ALTER ROLE ${roles.writer} PASSWORD '${PASSWORD}'`);
  });

  it('stores in every way what is new, and what is there already', async () => {
    const { invoke } = createFunction({ login, ...sealing });
    const [first, second] = [records(300), records(300)];

    expect(await invoke(first)).toEqual([]);
    // Through the idempotent INSERT, and by a function that knows nothing of the vault.
    expect(await createFunction({ login, ...sealing }).invoke([...first, ...second])).toEqual([]);

    await expectValuesOf([...first, ...second]);
  });

  it('reads nothing there, and takes nothing back', async () => {
    await createFunction({ login, ...sealing }).invoke(records(1));

    for (const sql of [
      'SELECT sealed FROM user_logins_vault',
      'SELECT count(*) FROM user_logins_vault',
      'SELECT id FROM user_logins_vault_keys',
      `UPDATE user_logins_vault SET sealed = ''`,
      'DELETE FROM user_logins_vault',
      `INSERT INTO user_logins_vault SELECT * FROM user_logins_vault ON CONFLICT (token) DO UPDATE SET sealed = ''`,
    ]) {
      const refused = withClient(login, (client) => client.query(sql));
      await expect(refused, sql).rejects.toThrow('(42501)');
    }
  });

  it('is what the probe tries: a vault that it cannot fill fails it, and a good one is left as it is', async () => {
    const resources = { login, keyset: () => Promise.resolve(keyset), ...probeSealing() };
    const probe = createWriteProbe(loginEvents, resources, memoryLog().log);

    await probe({});
    expect(await counts()).toEqual({ values: 0, contentKeys: 0 });
    expect(await database.count()).toBe(0);

    await database.client.query(`REVOKE INSERT ON user_logins_vault FROM ${roles.writer}`);
    await expect(probe({})).rejects.toThrow('(42501)');
    await database.client.query(`GRANT INSERT ON user_logins_vault TO ${roles.writer}`);
  });

  function probeSealing() {
    return { masking: 'irreversible' as const, recoveryKey: createKeyPair().recoveryKey };
  }
});

describe('the migration of an installation that did not seal', () => {
  const database = useDatabase({ empty: true });
  const createFunction = useFunctions();
  const { recoveryKey } = createKeyPair();
  const sealed = { databaseUrl: database.url, masking: 'irreversible', recoveryKey } as const;

  it('makes the vault once, and leaves what is there; without it a function that seals stores nothing', async () => {
    await migrate(database.client, loginEvents);
    await createFunction({ databaseUrl: database.url }).invoke(records(3));
    await expect(createFunction(sealed).invoke(records(3))).rejects.toThrow('(42P01)');

    const created = await migrate(database.client, loginEvents, { vault: true });

    expect(created).toEqual(['table user_logins_vault', 'table user_logins_vault_keys']);
    expect(await migrate(database.client, loginEvents, { vault: true })).toEqual([]);
    expect(await createFunction(sealed).invoke(records(3))).toEqual([]);
    expect(await database.count()).toBe(6);
    // Another time without: what was sealed stays.
    expect(await migrate(database.client, loginEvents)).toEqual([]);
    expect(await database.rows('SELECT count(*)::int AS values FROM user_logins_vault')).toEqual([
      { values: 6 },
    ]);
  });

  it('seals networks where the table has them', async () => {
    const declaration = loginEventsWith({ ipNetwork: true });
    await migrate(database.client, declaration, { vault: true });
    const { invoke } = createFunction({ ...sealed, declaration });

    expect(await invoke([record()])).toEqual([]);

    const [row] = await database.rows<{ there: number }>(
      'SELECT count(*)::int AS there FROM user_logins JOIN user_logins_vault ON token = masked_ip_network',
    );
    expect(row).toEqual({ there: 1 });
  });

  it('refuses another table in the place of the vault', async () => {
    await database.client.query('ALTER TABLE user_logins_vault RENAME TO kept');
    await database.client.query('CREATE TABLE user_logins_vault (token text)');

    await expect(migrate(database.client, loginEvents, { vault: true })).rejects.toThrow(
      /^table user_logins_vault: expected \(token character varying\(256\), [^\n]+ rename it$/,
    );

    await database.client.query('DROP TABLE user_logins_vault');
    await database.client.query('ALTER TABLE kept RENAME TO user_logins_vault');
  });
});
