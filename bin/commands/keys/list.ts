import type { TableDeclaration } from '../../../lambda/events/declaration.ts';
import { proveKey, proveLayers } from '../../../lambda/masking/key-proof.ts';
import type { Keyset, Scheme } from '../../../lambda/masking/keyset.ts';
import { type KnownProofs, readProofs } from '../../../lambda/postgres/keys/check.ts';
import type { TokenCount } from '../../../lambda/postgres/keys/token-count.ts';
import { findDeclaration } from '../../../lambda/postgres/schema/find-declaration.ts';
import { type KeyStatus, statusOf } from '../../keys/keyset-edit.ts';
import { findKeyset, type KeysetOptions } from '../../keys/keyset-store.ts';
import { type DatabaseOptions, withDatabase } from '../../local/find-database.ts';
import { createProgress } from '../../local/progress.ts';
import { renderAge, renderTable } from '../dead-letters/render.ts';
import { countRows } from './in-use.ts';
import { writtenKids } from './kid.ts';

export interface ListOptions extends KeysetOptions, DatabaseOptions {
  /** Count the rows of each key. */
  readonly rows: boolean;
  readonly json: boolean;
}

/** A key as it may be shown: never material. */
interface ListedKey {
  readonly kid: string;
  /** `missing`: tokens of it are in the table, and the keyset has it not. */
  readonly status: KeyStatus | 'missing';
  readonly added: string | null;
  readonly retired: string | null;
  readonly over: string | null;
  /** By scheme; null where nobody counted. */
  readonly rows: Readonly<Partial<Record<Scheme, number>>> | null;
  readonly first: string | null;
  readonly last: string | null;
  /** Whether the table was written with this very key; null where it was with none of the name. */
  readonly proven: boolean | null;
}

/** `vizard keys list`: the keys of the keyset, and what of the table is under them. */
export async function list(options: ListOptions): Promise<number> {
  const store = findKeyset(options);
  const keyset = await store.read();
  return withDatabase(options, async (client) => {
    const declaration = await findDeclaration(client);
    const proofs = await readProofs(client, declaration);
    const counts = options.rows
      ? await countRows({ client, declaration, progress: createProgress() })
      : undefined;
    const keys = listKeys(keyset, proofs, counts);
    process.stdout.write(
      options.json
        ? `${JSON.stringify({ keyset: store.name, primary: keyset.primary, table: declaration.table, keys })}\n`
        : render(keys, declaration),
    );
    return 0;
  });
}

function listKeys(
  keyset: Keyset,
  proofs: KnownProofs,
  counts: readonly TokenCount[] | undefined,
): ListedKey[] {
  const written = writtenKids(proofs);
  const known = keyset.kids.map((kid): ListedKey => {
    const { added = null, retired = null, over = null } = keyset.facts(kid);
    const status = statusOf(keyset, kid, written);
    const proven = isProven(keyset, kid, proofs);
    return { kid, status, added, retired, over, ...usage(counts, kid), proven };
  });
  const kids = new Set(counts?.map(({ kid }) => kid));
  const missing = [...kids]
    .filter((kid) => !keyset.kids.includes(kid))
    .toSorted()
    .map((kid): ListedKey => {
      const facts = { added: null, retired: null, over: null, proven: null };
      return { kid, status: 'missing', ...facts, ...usage(counts, kid) };
    });
  return [...known, ...missing];
}

function isProven(keyset: Keyset, kid: string, proofs: KnownProofs): boolean | null {
  const there = [proveKey(keyset, kid), proveLayers(keyset, kid)].filter((proof) => proofs.has(proof.kid));
  return there.length === 0 ? null : there.every(({ kid, proof }) => proofs.get(kid) === proof);
}

function usage(
  counts: readonly TokenCount[] | undefined,
  kid: string,
): Pick<ListedKey, 'rows' | 'first' | 'last'> {
  if (counts === undefined) return { rows: null, first: null, last: null };
  const ofKey = counts.filter((count) => count.kid === kid);
  const dates = (pick: 'first' | 'last') => ofKey.map((count) => count[pick]).filter((date) => date !== null);
  return {
    rows: Object.fromEntries(ofKey.map(({ scheme, rows }) => [scheme, rows])),
    first: dates('first').toSorted()[0] ?? null,
    last: dates('last').toSorted().at(-1) ?? null,
  };
}

function render(keys: readonly ListedKey[], { table }: TableDeclaration): string {
  const now = Date.now();
  const rows = keys.map(({ kid, status, added, over, rows, first, last, proven }) => [
    kid,
    status,
    added === null ? 'unknown' : `${added.slice(0, 10)}, ${renderAge(Date.parse(added), now)} ago`,
    over ?? '–',
    ...(['s1', 'h1'] as const).map((scheme) => (rows === null ? '?' : (rows[scheme] ?? 0))),
    first ?? '–',
    last ?? '–',
    proven === null ? '–' : proven ? 'fits' : 'OTHER KEY',
  ]);
  const head = ['kid', 'status', 'added', 'over', 'rows s1', 'rows h1', 'first', 'last', 'proof'];
  const notes = keys
    .filter(({ status }) => status === 'missing')
    .map(({ kid }) => `key "${kid}" is not in the keyset: nobody recovers its tokens in ${table}\n`);
  return [renderTable(head, rows), ...notes].join('');
}
