import { beforeEach, describe, expect, it } from 'vitest';
import { loginEvents } from '../../lambda/events/login-event.ts';
import type { Keyset } from '../../lambda/masking/keyset.ts';
import { migrate } from '../../lambda/postgres/schema/schema.ts';
import { useCli } from '../support/cli.ts';
import { KEYSETS, rekeyArguments } from '../support/rekey.ts';
import { useRekeyTable } from '../support/rekey-table.ts';
import { textMasker } from '../support/tokens.ts';

const table = useRekeyTable();
const { database } = table;
const createCli = useCli();

describe('a rekey of the vault', () => {
  beforeEach(() => table.make('plain'));

  it('rewrites the vault of sealed values with the rows', async () => {
    await migrate(database.client, loginEvents, { vault: true });
    await table.writer('k1', 'irreversible').invoke(table.truth.records(200));
    const seal = (condition: string) =>
      database.rows(
        `INSERT INTO user_logins_vault (token, domain, key_id, sealed)
         SELECT DISTINCT token, domain, gen_random_uuid(), convert_to(token, 'UTF8')
         FROM (SELECT masked_ip, 'ip' FROM user_logins
               UNION SELECT masked_device_id, 'device_id' FROM user_logins) AS t (token, domain)
         WHERE ${condition} ON CONFLICT DO NOTHING`,
      );
    await seal('true');
    await table.writer('k2', 'irreversible').invoke(table.truth.records(50));
    // Some of the same values were sealed again under the new key.
    await seal(`starts_with(token, 'h1~k2') AND token < 'h1~k2~V'`);
    const cli = createCli();

    const { exitCode, json } = await cli.run([...rekeyArguments(cli, database), '--json']);

    expect(exitCode).toBe(0);
    expect(json()).toMatchObject({ outcome: { rewritten: 200, resealed: 137 } });
    const tokens = await database.rows<{ token: string }>(
      'SELECT masked_ip AS token FROM user_logins UNION SELECT masked_device_id FROM user_logins',
    );
    const vault = await database.rows<{ token: string }>('SELECT token FROM user_logins_vault');
    const sorted = (rows: { token: string }[]) => rows.map(({ token }) => token).toSorted();
    expect(sorted(vault)).toEqual(sorted(tokens));
    // The older sealing, by which whoever took over a function later can't put another in its place.
    expect(
      await database.rows(
        `SELECT FROM user_logins_vault WHERE starts_with(convert_from(sealed, 'UTF8'), 'h1~k2')`,
      ),
    ).toEqual([]);
  });

  it('keeps values whose rows retention has dropped, for tokens that were exported', async () => {
    await migrate(database.client, loginEvents, { vault: true });
    await table.writer('k1', 'irreversible').invoke(table.truth.records(10));
    const [, , , device] = loginEvents.columns;
    const tokenUnder = (keyset: Keyset) =>
      textMasker(keyset, 'irreversible', device)([Buffer.from('gone')])[0]!;
    await database.rows(
      `INSERT INTO user_logins_vault (token, domain, key_id, sealed) VALUES ($1, 'device_id', gen_random_uuid(), 'sealed')`,
      [tokenUnder(KEYSETS.k1)],
    );
    const cli = createCli();

    expect((await cli.run(rekeyArguments(cli, database))).exitCode).toBe(0);

    const vault = await database.rows<{ token: string }>('SELECT token FROM user_logins_vault');
    expect(vault).toEqual([{ token: tokenUnder(KEYSETS.k2) }]);
  });
});
