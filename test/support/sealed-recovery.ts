import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { parseKeyset } from '../../lambda/masking/keyset.ts';
import { type CliResult, useCli } from './cli.ts';
import { useDatabase } from './database.ts';
import { useFunctions } from './function.ts';
import { KEYSET_JSON, loginEvent, record } from './records.ts';
import { access } from './recovery.ts';
import type { KeyPair } from './recovery-key.ts';
import { useVault } from './vault.ts';

export const IP = '203.0.113.77';
export const DEVICE = 'CANARY-DEVICE-1';
/** The keyset after a rotation. */
export const LAYERED = JSON.stringify({ ...JSON.parse(KEYSET_JSON), primary: 'k2', 'k2.over': 'k1' });

export interface SealedTokens {
  readonly ip: string;
  readonly device: string;
}

export interface Asked {
  readonly keyset?: string;
  /** Private keys in files, in PKCS#8. */
  readonly privateKeys?: readonly KeyPair[];
  readonly passphrase?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** A database with a vault, a function that seals into it, and the command that recovers. */
export function useSealedRecovery() {
  const database = useDatabase();
  const createCli = useCli();
  const createFunction = useFunctions();
  const { keys } = useVault(database);

  /** Lets the function store an event. @returns its tokens */
  async function store(
    event: Record<string, unknown> = {},
    { recoveryKey }: Pick<KeyPair, 'recoveryKey'> = keys,
    keyset = KEYSET_JSON,
  ): Promise<SealedTokens> {
    const user = `user ${Math.random()}`;
    const source = parseKeyset(keyset);
    const { invoke } = createFunction({
      databaseUrl: database.url,
      masking: 'irreversible',
      recoveryKey,
      keysetSource: () => Promise.resolve(source),
    });
    const body = loginEvent({ user_id: user, ip: IP, device_id: DEVICE, ...event });
    expect(await invoke([record(body)])).toEqual([]);
    const [row] = await database.rows<{ ip: string; device: string }>(
      'SELECT masked_ip AS ip, masked_device_id AS device FROM user_logins WHERE user_id = $1',
      [user],
    );
    return row!;
  }

  function recover(args: readonly string[], asked: Asked = {}): Promise<CliResult> {
    const { keyset = KEYSET_JSON, privateKeys = [], passphrase, env = {} } = asked;
    const cli = createCli();
    const files = privateKeys.flatMap(({ privateKey }, i) => {
      const file = join(cli.directory, `private-${i}.pem`);
      const protection = passphrase === undefined ? {} : { cipher: 'aes-256-cbc', passphrase };
      writeFileSync(file, privateKey.export({ type: 'pkcs8', format: 'pem', ...protection }));
      return ['--private-key', file];
    });
    return cli.run(['recover', ...access(database.url), ...files, ...args], {
      env: { MASKING_KEYSET: keyset, ...env },
    });
  }

  return { database, createCli, createFunction, keys, store, recover };
}

/** Complaints by position, without what they advise. */
export function reasons({ stderr }: CliResult): string[] {
  return stderr.split('\n').slice(0, -1);
}
