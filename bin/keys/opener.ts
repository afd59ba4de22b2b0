import { isMasked, type MaskedColumn, type TableDeclaration } from '../../lambda/events/declaration.ts';
import type { Keyset } from '../../lambda/masking/keyset.ts';
import { valueMasker } from '../../lambda/masking/masker.ts';
import { type OpenedToken, oneOfEachDomain, openValues } from '../../lambda/masking/open-tokens.ts';
import { parseToken } from '../../lambda/masking/tokens.ts';
import type { DatabaseClient } from '../../lambda/postgres/connection.ts';
import { hasVault, type VaultRow } from '../../lambda/postgres/vault/read.ts';
import { keysetOpener, type Opener } from './keyset-opener.ts';
import type { OpenedKey, PrivateKeys } from './private-keys.ts';
import { findSealedRows } from './sealed-rows.ts';

/** Opens recoverable tokens with the keyset, and irreversible ones out of the vault, where there is one. */
export function vaultOpener(keyset: Keyset, declaration: TableDeclaration, privateKeys: PrivateKeys): Opener {
  const open = keysetOpener(keyset, declaration);
  return async (client, tokens) => {
    const opened = await open(client, tokens);
    if (!(await hasVault(client, declaration))) return opened;
    const places = [...opened.keys()].filter((place) => {
      const token = opened[place]!;
      return token.kind === 'failed' && token.reason === 'irreversible';
    });
    const asked = places.map((place) => tokens[place]!);
    const unsealed = await openSealed(client, declaration, keyset, privateKeys, asked);
    for (const [i, place] of places.entries()) opened[place] = unsealed[i]!;
    return opened;
  };
}

/**
 * Opens irreversible tokens out of the vault. A value counts only where its token, made anew, is the one that was asked for:
 * whoever may write the vault could have put another's value there.
 *
 * @returns what became of each, in their order
 */
export async function openSealed(
  client: DatabaseClient,
  declaration: TableDeclaration,
  keyset: Keyset,
  privateKeys: PrivateKeys,
  tokens: readonly string[],
): Promise<OpenedToken[]> {
  const columns = oneOfEachDomain(declaration.columns.filter(isMasked));
  const rows = await findSealedRows(client, declaration, keyset, columns, tokens);
  const contentKeys = await openContentKeys(privateKeys, [...rows.values()]);
  const values = openRows(contentKeys, columns, [...rows.values()]);
  const opened = tokens.map((token): OpenedToken => {
    const { kid = '' } = parseToken(token) ?? {};
    const row = rows.get(token);
    if (!keyset.kids.includes(kid)) return { kind: 'failed', reason: 'unknown_key', kid };
    if (row === undefined) return { kind: 'failed', reason: 'not_in_vault', kid };
    if (row.recipient === null) return { kind: 'failed', reason: 'no_content_key', kid };
    if (contentKeys.get(row.keyId)?.kind === 'other_recipient')
      return { kind: 'failed', reason: 'other_recipient', kid, recipient: row.recipient };
    const value = values.get(row);
    return value === undefined
      ? { kind: 'failed', reason: 'altered', kid }
      : { kind: 'opened', kid, ...value };
  });
  return confirm(keyset, opened, tokens);
}

/** A value as it came out of the vault. */
interface Unsealed {
  readonly column: MaskedColumn;
  readonly value: Uint8Array;
}

/** Each content key that is there, once. */
async function openContentKeys(
  privateKeys: PrivateKeys,
  rows: readonly VaultRow[],
): Promise<Map<string, OpenedKey>> {
  const keys = new Map<string, OpenedKey>();
  for (const { keyId, recipient, sealedKey } of rows) {
    if (recipient === null || sealedKey === null || keys.has(keyId)) continue;
    keys.set(keyId, await privateKeys.open(recipient, sealedKey));
  }
  return keys;
}

/** The values that open in the domain of a column, by content key and in lockstep. */
function openRows(
  contentKeys: ReadonlyMap<string, OpenedKey>,
  columns: readonly MaskedColumn[],
  rows: readonly VaultRow[],
): Map<VaultRow, Unsealed> {
  const values = new Map<VaultRow, Unsealed>();
  for (const [keyId, ofKey] of Map.groupBy(rows, (row) => row.keyId)) {
    const contentKey = contentKeys.get(keyId);
    if (contentKey?.kind !== 'opened') continue;
    for (const column of columns) {
      const left = ofKey.filter((row) => !values.has(row));
      const opened = openValues(
        contentKey.key,
        column,
        left.map(({ sealed }) => sealed),
      );
      for (const [i, value] of opened.entries()) {
        if (value !== undefined) values.set(left[i]!, { column, value });
      }
    }
  }
  return values;
}

/** Whoever pasted a row of the vault under another token is found here. */
function confirm(keyset: Keyset, opened: readonly OpenedToken[], tokens: readonly string[]): OpenedToken[] {
  const confirmed = [...opened];
  const places = [...opened.keys()].filter((place) => opened[place]!.kind === 'opened');
  type Opened = Extract<OpenedToken, { kind: 'opened' }>;
  const groups = Map.groupBy(places, (place) => {
    const { column, kid } = opened[place] as Opened;
    return `${column.mask.domain} ${kid}`;
  });
  for (const group of groups.values()) {
    const { column, kid } = opened[group[0]!] as Opened;
    const made = valueMasker(
      keyset,
      'h1',
      column,
      kid,
    )(group.map((place) => (opened[place] as Opened).value));
    for (const [i, place] of group.entries()) {
      if (made.at(i) !== tokens[place]) confirmed[place] = { kind: 'failed', reason: 'altered', kid };
    }
  }
  return confirmed;
}
