import { VizardError } from '../../../lambda/errors.ts';
import type { OpenedToken } from '../../../lambda/masking/open-tokens.ts';
import type { DatabaseClient } from '../../../lambda/postgres/connection.ts';
import { findDeclaration } from '../../../lambda/postgres/schema/find-declaration.ts';
import { type Asked, identifyPerson, passGate } from '../../keys/gate.ts';
import { findKeyset, type KeysetOptions } from '../../keys/keyset-store.ts';
import { vaultOpener } from '../../keys/opener.ts';
import { findPrivateKeys, type PrivateKeyOptions } from '../../keys/private-keys.ts';
import { type DatabaseOptions, withDatabase } from '../../local/find-database.ts';
import { requireOutput } from '../../local/output.ts';
import { type AskedTokens, tokensOfArguments, tokensOfFile } from './asked-tokens.ts';
import { plan } from './plan.ts';
import { tokensOfQuery } from './query.ts';
import { report } from './report.ts';

export interface RecoverOptions extends DatabaseOptions, KeysetOptions, PrivateKeyOptions {
  readonly file?: string;
  readonly query?: string;
  readonly column?: string;
  readonly reason: string;
  readonly limit: number;
  readonly dryRun: boolean;
  readonly json: boolean;
}

/**
 * `vizard recover`: what stands behind tokens, in clear, on standard output. Opened in memory, then audited, then shown.
 *
 * @returns the exit code: 1 where a token was not recovered
 */
export async function recover(texts: readonly string[], options: RecoverOptions): Promise<number> {
  requireOneSource(texts, options);
  requireOutput();
  const store = findKeyset(options);
  const privateKeys = findPrivateKeys(options);
  const given = await givenTokens(texts, options);
  const person = await identifyPerson(store, options.reason);
  if (options.dryRun && given !== undefined) return plan(given, options.json);
  return withDatabase(options, async (client) => {
    const asked = given ?? (await queriedTokens(client, options));
    if (options.dryRun) return plan(asked, options.json);
    const open = vaultOpener(await store.read(), await findDeclaration(client), privateKeys);
    const tokens = asked.tokens.map(({ text }) => text);
    const opened = await open(client, tokens);
    return passGate(client, person, askedFor(tokens, opened), (row) =>
      report({ asked, opened, row }, options.json),
    );
  });
}

function requireOneSource(texts: readonly string[], { file, query, column }: RecoverOptions): void {
  const sources = [texts.length > 0, file !== undefined, query !== undefined].filter(Boolean).length;
  if (sources !== 1)
    throw new VizardError(
      `expected tokens from one source, got ${sources === 0 ? 'none' : sources}; give tokens, or --file, or --query with --column`,
    );
  if ((query === undefined) !== (column === undefined))
    throw new VizardError(
      '--query and --column need each other: the column is the one that holds the tokens',
    );
}

/** @returns undefined where the database has to be asked for them */
async function givenTokens(
  texts: readonly string[],
  { file, query, limit }: RecoverOptions,
): Promise<AskedTokens | undefined> {
  if (query !== undefined) return undefined;
  return file === undefined ? tokensOfArguments(texts, limit) : tokensOfFile(file, limit);
}

function queriedTokens(
  client: DatabaseClient,
  { query = '', column = '', limit }: RecoverOptions,
): Promise<AskedTokens> {
  return tokensOfQuery(client, { query, column, limit });
}

/** As the audit trail has it: all that was asked for, what could not be recovered included. */
function askedFor(tokens: readonly string[], opened: readonly OpenedToken[]): Asked {
  const columns = opened.flatMap((token) => (token.kind === 'opened' ? [token.column.column] : []));
  const kids = opened.flatMap(({ kid }) => kid ?? []);
  return {
    action: 'recover',
    columns: [...new Set(columns)].sort(),
    kids: [...new Set(kids)].sort(),
    count: tokens.length,
    tokens,
  };
}
