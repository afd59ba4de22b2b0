import { expect, vi } from 'vitest';
import { isMasked, type TableDeclaration } from '../../lambda/events/declaration.ts';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { parseKeyset } from '../../lambda/masking/keyset.ts';
import { withClient } from '../../lambda/postgres/connection.ts';
import type { TestDatabase } from './database.ts';
import type { FunctionOptions, FunctionUnderTest, useFunctions } from './function.ts';

export const MATERIAL = 'CANARY-MATERIAL'.padEnd(43, 'm');
export const OTHER_MATERIAL = 'CANARY-OTHER-MATERIAL'.padEnd(43, 'm');
export const FIRST = JSON.stringify({ primary: 'k1', k1: MATERIAL });
/** Other material under the same name. */
export const OTHER = JSON.stringify({ primary: 'k1', k1: OTHER_MATERIAL });
export const ROTATED = JSON.stringify({ primary: 'k2', k1: MATERIAL, k2: OTHER_MATERIAL });

/** The new key layered over the old one, as a promotion writes it. */
export const LAYERED = JSON.stringify({ ...JSON.parse(ROTATED), 'k2.over': 'k1' });

export const WRONG_KEY =
  'key "k1": expected the one that wrote the table user_logins, got another of the same name; ' +
  'restore the keyset that wrote it, or give the new key a name of its own (wrong_key)';
export const WRONG_LAYERS =
  'key "k2": expected the layers of the irreversible tokens in the table user_logins, got others; ' +
  'restore the keyset that wrote it, with its member "k2.over" and the keys below (wrong_layers)';

export const declaration: TableDeclaration = loginEvents;
/** Addresses irreversible, device ids as the configuration says. */
export const mixed: TableDeclaration = {
  ...declaration,
  columns: declaration.columns.map((column) =>
    isMasked(column) && column.type === 'address'
      ? { ...column, mask: { ...column.mask, policy: 'irreversible' } }
      : column,
  ),
};
export const SCHEMES = [
  { name: 'recoverable', options: { masking: 'recoverable' } },
  { name: 'irreversible', options: { masking: 'irreversible' } },
  { name: 'of both schemes', options: { declaration: mixed } },
] as const;

type Options = Omit<FunctionOptions, 'login' | 'databaseUrl' | 'keysetSource'> & { readonly url?: string };

/** Environments on a database that remembers the keys which wrote it, and what a test does to it. */
export function useKeys(database: TestDatabase, createFunction: ReturnType<typeof useFunctions>) {
  /** An environment with a keyset of its own. */
  function environment(
    keysetJson: string,
    { url = database.url, ...options }: Options = {},
  ): FunctionUnderTest {
    const keyset = parseKeyset(keysetJson);
    return createFunction({ ...options, databaseUrl: url, keysetSource: () => Promise.resolve(keyset) });
  }

  async function claims(): Promise<{ kid: string; proof: string }[]> {
    return database.rows('SELECT kid, proof FROM user_logins_keys ORDER BY kid');
  }

  /** Resolves when as many sessions wait for a lock. @returns their processes */
  async function waiting(sessions: number): Promise<number[]> {
    return vi.waitFor(
      async () => {
        const rows = await database.rows<{ pid: number }>(
          `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
        );
        expect(rows).toHaveLength(sessions);
        return rows.map(({ pid }) => pid);
      },
      { timeout: 10_000, interval: 20 },
    );
  }

  /** Runs work while the table of proofs can be read, and nothing can be put into it. */
  async function whileNobodyClaims<T>(work: () => Promise<T>): Promise<T> {
    return withClient(database.login, async (client) => {
      await client.query('BEGIN; LOCK TABLE user_logins_keys IN SHARE MODE');
      return work();
    });
  }

  return { environment, claims, waiting, whileNobodyClaims };
}
