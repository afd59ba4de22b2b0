import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { KEYSET_JSON } from '../support/records.ts';
import { REASON } from '../support/recovery.ts';
import {
  DEVICE,
  IP,
  LAYERED,
  reasons,
  type SealedTokens,
  useSealedRecovery,
} from '../support/sealed-recovery.ts';

const { database, createCli, keys, store, recover } = useSealedRecovery();

describe('while a table is rewritten from one key to the next', () => {
  const asked = { privateKeys: [keys], keyset: LAYERED };
  const rewrite = (before: SealedTokens, after: SealedTokens) =>
    database.client.query(
      `UPDATE user_logins_vault SET token = CASE token WHEN $1 THEN $2 ELSE $4 END WHERE token IN ($1, $3)`,
      [before.ip, after.ip, before.device, after.device],
    );

  it('values are opened by tokens of both keys, those of the one that is layered over the other too', async () => {
    const before = await store();
    const after = await store({ ip: '203.0.113.78', device_id: 'another' }, keys, LAYERED);

    const { stdout } = await recover([before.ip, after.ip], asked);

    expect(stdout).toBe(`${before.ip}\t${IP}\n${after.ip}\t203.0.113.78\n`);
  });

  it('a token from before, of an export say, is opened when the vault has the new one', async () => {
    const before = await store();
    const after = await store({}, keys, LAYERED);
    await database.client.query('DELETE FROM user_logins_vault WHERE token IN ($1, $2)', [
      after.ip,
      after.device,
    ]);
    await rewrite(before, after);

    const { stdout } = await recover([before.ip, before.device, after.ip], asked);

    expect(stdout).toBe(`${before.ip}\t${IP}\n${before.device}\t${DEVICE}\n${after.ip}\t${IP}\n`);
  });

  it('a new token is opened by its alias when the vault has the one from before', async () => {
    const before = await store();
    const after = await store({}, keys, LAYERED);
    await database.client.query('DELETE FROM user_logins_vault WHERE token = $1', [after.ip]);
    await database.client.query(
      'CREATE TABLE IF NOT EXISTS user_logins_aliases (token text PRIMARY KEY, current text NOT NULL)',
    );
    await database.client.query('INSERT INTO user_logins_aliases VALUES ($1, $2)', [before.ip, after.ip]);

    const { stdout } = await recover([after.ip], asked);

    expect(stdout).toBe(`${after.ip}\t${IP}\n`);
    await database.client.query('DELETE FROM user_logins_aliases');
  });

  it('an alias that leads to the value of another gives nothing out', async () => {
    const before = await store();
    const { ip } = await store({ ip: '203.0.113.78' }, keys, LAYERED);
    await database.client.query('DELETE FROM user_logins_vault WHERE token = $1', [ip]);
    await database.client.query(
      'CREATE TABLE IF NOT EXISTS user_logins_aliases (token text PRIMARY KEY, current text NOT NULL)',
    );
    await database.client.query('INSERT INTO user_logins_aliases VALUES ($1, $2)', [before.ip, ip]);

    const result = await recover([ip], asked);

    expect(result).toMatchObject({ exitCode: 1, stdout: '' });
    expect(reasons(result)[0]).toContain('was altered');
    await database.client.query('DELETE FROM user_logins_aliases');
  });
});

describe('on the whole', () => {
  /** A command with the keyset in a file, which commands change. */
  function withKeysetFile() {
    const cli = createCli();
    const file = join(cli.directory, 'keyset.json');
    writeFileSync(file, KEYSET_JSON);
    writeFileSync(
      join(cli.directory, 'private.pem'),
      keys.privateKey.export({ type: 'pkcs8', format: 'pem' }),
    );
    const place = ['--database-url', database.url, '--keyset', file, '--reason', REASON];
    return async (...args: readonly string[]) => {
      const result = await cli.run([...args, ...place]);
      expect(result.exitCode, result.stderr).toBe(0);
      return result;
    };
  }

  it('after a rekey every value opens by its token of before and by the one of after', async () => {
    const vizard = withKeysetFile();
    const before = await store();
    await vizard('keys', 'promote', 'k2', '--now');
    await vizard('rekey', '--from', 'k1', '--to', 'k2', '--now');
    const after = await database.rows<{ ip: string; device: string }>(
      'SELECT masked_ip AS ip, masked_device_id AS device FROM user_logins',
    );
    expect(after[0]!.ip).toMatch(/^h1~k2~/);

    const tokens = [before.ip, before.device, after[0]!.ip, after[0]!.device];
    const { stdout } = await vizard('recover', ...tokens, '--private-key', 'private.pem');

    expect(stdout.split('\n').map((line) => line.split('\t')[1])).toEqual([
      IP,
      DEVICE,
      IP,
      DEVICE,
      undefined,
    ]);
  });

  it('a value whose rows retention has dropped is in the vault once, opens by its token of before, and can be erased', async () => {
    const vizard = withKeysetFile();
    const vault = () => database.rows('SELECT domain FROM user_logins_vault ORDER BY domain');
    const before = await store();
    await database.client.query('DELETE FROM user_logins');
    await vizard('keys', 'promote', 'k2', '--now');
    await vizard('rekey', '--from', 'k1', '--to', 'k2', '--now');

    expect(await vault()).toEqual([{ domain: 'device_id' }, { domain: 'ip' }]);
    const { stdout } = await vizard('recover', before.device, '--private-key', 'private.pem');
    expect(stdout).toBe(`${before.device}\t${DEVICE}\n`);
    await vizard('erase', '--ip', IP, '--yes');
    expect(await vault()).toEqual([{ domain: 'device_id' }]);
    await vizard('erase', '--device-id', DEVICE, '--yes');
    expect(await vault()).toEqual([]);
  });

  it('what was erased is not in the vault, and is there again when it comes again', async () => {
    const vizard = withKeysetFile();
    const { ip } = await store();
    await vizard('erase', '--ip', IP, '--yes');

    const gone = await recover([ip], { privateKeys: [keys] });
    expect(reasons(gone)[0]).toContain('is not in the vault');

    expect(await store()).toMatchObject({ ip });
    expect(await recover([ip], { privateKeys: [keys] })).toMatchObject({ stdout: `${ip}\t${IP}\n` });
  });
});
