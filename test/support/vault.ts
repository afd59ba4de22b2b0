import type { SQSRecord } from 'aws-lambda';
import { beforeAll, beforeEach, expect } from 'vitest';
import { openSealed } from '../../bin/keys/opener.ts';
import { parseAddress } from '../../lambda/events/address.ts';
import { clearText } from '../../lambda/events/clear-text.ts';
import { isMasked, type TableDeclaration } from '../../lambda/events/declaration.ts';
import { loginEvents } from '../../lambda/events/login-event.ts';
import type { Keyset } from '../../lambda/masking/keyset.ts';
import { migrate } from '../../lambda/postgres/schema/schema.ts';
import type { TestDatabase } from './database.ts';
import { type FunctionOptions, keyset } from './function.ts';
import { createKeyPair, type KeyPair } from './recovery-key.ts';

export interface TestVault {
  readonly keys: KeyPair;
  /** What a function that seals is made with. */
  readonly sealing: Pick<FunctionOptions, 'masking' | 'recoveryKey'>;
  /** How many values, and how many content keys, are in the vault. */
  counts(): Promise<{ values: number; contentKeys: number }>;
  /**
   * Fails unless the table holds exactly these records, and the vault exactly their values: every one opens with the
   * private key, and is the one of its row.
   */
  expectValuesOf(records: readonly SQSRecord[], keysetOfTable?: Keyset): Promise<void>;
}

const declaration: TableDeclaration = loginEvents;
const ADDRESS = declaration.columns.filter(isMasked).find(({ type }) => type === 'address')!;

/** A vault beside the table, empty before each test. */
export function useVault(database: TestDatabase): TestVault {
  const keys = createKeyPair();
  beforeAll(() => migrate(database.client, loginEvents, { vault: true }).then(() => undefined));
  beforeEach(() =>
    database.client.query('TRUNCATE user_logins_vault, user_logins_vault_keys').then(() => undefined),
  );

  async function open(tokens: readonly string[], keysetOfTable: Keyset): Promise<Map<string, string>> {
    const opened = await openSealed(database.client, loginEvents, keysetOfTable, keys.privateKeys, tokens);
    const failed = opened.filter(({ kind }) => kind === 'failed');
    expect(failed, 'tokens of the table that the vault does not open').toEqual([]);
    return new Map(
      opened.map((token, i) => [
        tokens[i]!,
        token.kind === 'opened' ? clearText(token.column, token.value) : '',
      ]),
    );
  }

  return {
    keys,
    sealing: { masking: 'irreversible', recoveryKey: keys.recoveryKey },
    async counts() {
      const [counts] = await database.rows<{ values: number; contentKeys: number }>(
        `SELECT (SELECT count(*)::int FROM user_logins_vault) AS values,
                (SELECT count(*)::int FROM user_logins_vault_keys) AS "contentKeys"`,
      );
      return counts!;
    },
    async expectValuesOf(records, keysetOfTable = keyset) {
      const rows = await database.rows<{ user: string; ip: string; device: string }>(
        'SELECT user_id AS user, masked_ip AS ip, masked_device_id AS device FROM user_logins',
      );
      const tokens = [...new Set(rows.flatMap(({ ip, device }) => [ip, device]))];
      const vault = await database.rows<{ token: string }>('SELECT token FROM user_logins_vault');
      const kept = new Set(vault.map(({ token }) => token));
      expect(
        tokens.filter((token) => !kept.has(token)),
        'tokens without a value in the vault',
      ).toEqual([]);
      expect(kept.size - tokens.length, 'values in the vault that the table does not need').toBe(0);
      const clear = await open(tokens, keysetOfTable);
      const found = rows.map(({ user, ip, device }) => [user, clear.get(ip), clear.get(device)].join(' '));
      const sent = records.map(({ body }) => {
        const { user_id, ip, device_id } = JSON.parse(body) as Record<string, string>;
        return [user_id, clearText(ADDRESS, parseAddress(ip!)!), device_id].join(' ');
      });
      const expected = new Set(sent);
      const wrong = found.filter((row) => !expected.has(row));
      expect([found.length, wrong.length], 'rows, and those with other values than were sent').toEqual([
        sent.length,
        0,
      ]);
    },
  };
}
