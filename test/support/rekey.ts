import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SQSRecord } from 'aws-lambda';
import { expect } from 'vitest';
import { parseKeyset } from '../../lambda/masking/keyset.ts';
import type { Cli } from './cli.ts';
import type { TestDatabase } from './database.ts';
import { loginEvent, record } from './records.ts';

const MATERIAL = { k1: 'a'.repeat(43), k2: 'b'.repeat(43), k3: 'c'.repeat(43) };

/** The keyset before a promotion, and after: one more layer. */
export const KEYSET_TEXTS = {
  k1: JSON.stringify({ primary: 'k1', ...MATERIAL }),
  k2: JSON.stringify({ primary: 'k2', ...MATERIAL, 'k2.over': 'k1' }),
  k3: JSON.stringify({ primary: 'k3', ...MATERIAL, 'k2.over': 'k1', 'k3.over': 'k2' }),
};

export const KEYSETS = {
  k1: parseKeyset(KEYSET_TEXTS.k1),
  k2: parseKeyset(KEYSET_TEXTS.k2),
  k3: parseKeyset(KEYSET_TEXTS.k3),
};

/** The clear values of an event, which only a test knows. */
interface Clear {
  readonly ip: string;
  readonly device: string;
}

/** Every event that was written, in clear: what the equality of tokens is compared with. */
export class Truth {
  private readonly events = new Map<string, Clear>();
  private made = 0;

  /** Events whose values repeat: few addresses, more devices. @param prefix of the values, so that they are others */
  records(count: number, prefix = 0): SQSRecord[] {
    return Array.from({ length: count }, () => {
      const n = this.made++;
      const clear = { ip: `10.${prefix}.${n % 7}.${n % 11}`, device: `device-${prefix}-${n % 60}` };
      const user = `user-${n}`;
      this.events.set(user, clear);
      return record(loginEvent({ user_id: user, ip: clear.ip, device_id: clear.device }), {
        sentTimestamp: String(Date.now()),
      });
    });
  }

  /** Fails unless there is a row for each event. */
  async expectSameRows(database: TestDatabase): Promise<void> {
    const rows = await database.rows<{ user_id: string }>('SELECT user_id FROM user_logins');
    expect(rows.map(({ user_id }) => user_id).toSorted()).toEqual([...this.events.keys()].toSorted());
  }

  /** Fails unless all events are rows, and two rows have one token exactly where they have one value. */
  async expectEqualValuesToBeEqual(database: TestDatabase, relation = 'user_logins'): Promise<void> {
    const rows = await database.rows<{ user_id: string; masked_ip: string; masked_device_id: string }>(
      `SELECT user_id, masked_ip, masked_device_id FROM ${relation}`,
    );
    expect(rows.length).toBe(this.events.size);
    for (const [column, value] of [
      ['masked_ip', 'ip'],
      ['masked_device_id', 'device'],
    ] as const) {
      const pairs = new Set(rows.map((row) => `${row[column]} ${this.events.get(row.user_id)![value]}`));
      const tokens = new Set(rows.map((row) => row[column]));
      const values = new Set(rows.map((row) => this.events.get(row.user_id)![value]));
      expect({ column, tokens: tokens.size, pairs: pairs.size }).toEqual({
        column,
        tokens: values.size,
        pairs: values.size,
      });
    }
  }

  /** What the view of repeats has to say, without the tokens: `ip 12` for a value that 12 rows have. */
  repeats(): string[] {
    return (['ip', 'device'] as const)
      .flatMap((kind) => {
        const groups = Map.groupBy(this.events.values(), (clear) => clear[kind]);
        return [...groups.values()].flatMap(({ length }) =>
          length > 1 ? [`${kind === 'ip' ? 'ip' : 'device_id'} ${length}`] : [],
        );
      })
      .toSorted();
  }
}

/** What the view of repeats says, in the same words. */
export async function repeatsOf(database: Pick<TestDatabase, 'rows'>): Promise<string[]> {
  const rows = await database.rows<{ repeat: string }>(
    `SELECT kind || ' ' || logins AS repeat FROM user_login_repeats`,
  );
  return rows.map(({ repeat }) => repeat).toSorted();
}

/** How many tokens of each key stand in the table: `{ 's1~k1': 12 }`. */
export async function tokensByKey(database: Pick<TestDatabase, 'rows'>): Promise<Record<string, number>> {
  const rows = await database.rows<{ key: string; count: number }>(
    `SELECT substring(token FROM '^[^~]+~[^~]+') AS key, count(*)::int
     FROM (SELECT masked_ip FROM user_logins UNION ALL SELECT masked_device_id FROM user_logins) AS t (token)
     WHERE token IS NOT NULL GROUP BY 1 ORDER BY 1`,
  );
  return Object.fromEntries(rows.map(({ key, count }) => [key, count]));
}

/** The arguments of a rekey. @param keyset its text, which is written into the folder */
export function rekeyArguments(
  { directory }: Cli,
  { url }: Pick<TestDatabase, 'url'>,
  keyset: string = KEYSET_TEXTS.k2,
  rotation: readonly string[] = ['--from', 'k1', '--to', 'k2'],
): string[] {
  const file = join(directory, 'keyset.json');
  writeFileSync(file, keyset, { mode: 0o600 });
  return ['rekey', ...rotation, '--reason', 'rotation of the year', '--database-url', url, '--keyset', file];
}
