import { isMasked, type TableDeclaration } from '../../lambda/events/declaration.ts';
import type { Keyset } from '../../lambda/masking/keyset.ts';
import { type OpenedToken, openTokens } from '../../lambda/masking/open-tokens.ts';
import type { DatabaseClient } from '../../lambda/postgres/connection.ts';

/** Gets values back: what became of each token, in their order. Shows nothing to anybody. */
export type Opener = (client: DatabaseClient, tokens: readonly string[]) => Promise<OpenedToken[]>;

/** Opens recoverable tokens of any masked column with the keys of a keyset; the database has no part in it. */
export function keysetOpener(keyset: Keyset, { columns }: TableDeclaration): Opener {
  const masked = columns.filter(isMasked);
  return (_client, tokens) => Promise.resolve(openTokens(keyset, masked, tokens));
}
