import { once } from 'node:events';
import type { ClientBase } from 'pg';
import type { TableDeclaration } from '../../events/declaration.ts';
import type { Keyset } from '../../masking/keyset.ts';
import type { Rotation } from '../../masking/retoken.ts';
import { findHolders } from '../keys/token-count.ts';
import { dropFormerAliases, fillAliases, hasLeftovers, type Pace } from './aliases.ts';
import { isOf } from './batch.ts';
import { canRewriteLeft, compareCensuses, type Moment, type Proof, takeCensus } from './census.ts';
import { BEGINNING, type PassesOptions, pauseFor, rewriteAll } from './passes.ts';
import { enterPhase, findRecord, openRecord, type RekeyRecord } from './record.ts';
import { SETTLING, timeToSettle } from './settling.ts';
import { aliasesTable, groupsTable } from './tables.ts';
import { transact } from './transact.ts';

export interface RekeyOptions extends PassesOptions {
  readonly rotation: Rotation;
  /** Rows that have a token of the old key. */
  readonly rows: number;
  /** When this run began, by the server's clock, in ISO 8601: what has ended since is its own. @default - now */
  readonly begun?: string;
  /** Milliseconds to wait for functions that still write with the old key. @default ten minutes */
  readonly patience?: number;
  /** Milliseconds since the promotion in which functions may write with the old key. @default six minutes */
  readonly settling?: number;
}

/** What became of a rekey. */
export type RekeyOutcome =
  /** `already`: another run has finished it, and nothing was compared again. */
  | {
      readonly kind: 'done' | 'already';
      readonly rewritten: number;
      readonly resealed: number;
      readonly proof: Proof;
    }
  /**
   * - `stopped`: somebody wished so
   * - `written`: functions still wrote with the old key when the patience was over
   * - `kept`: rows stay as they are though their tokens can be rewritten
   */
  | { readonly kind: 'stopped' | 'written' | 'kept' };

/**
 * Rewrites the tokens of one key as those of another, and proves that equal values are equal as before. Whatever it has
 * done stands in the database, so that after any end it goes on where it was. Under the lock of rekeys.
 */
export async function rekey(
  client: ClientBase,
  declaration: TableDeclaration,
  keyset: Keyset,
  options: RekeyOptions,
): Promise<RekeyOutcome> {
  const { rotation, rows, begun } = options;
  const existing = await findRecord<Proof>(client, declaration, rotation);
  if (existing?.phase === 'done') {
    if (begun !== undefined && Date.parse(existing.ended) >= Date.parse(begun))
      return ended('done', existing);
    // Aliases and sealed values may have come back: from functions that were late, and from a promotion after them.
    const holders = rows === 0 ? await findHolders(client, declaration, rotation.from) : [];
    if (rows === 0 && holders.length === 0) return ended('already', existing);
  }
  if (existing === undefined || existing.phase === 'done') await openRecord(client, declaration, rotation);
  for (;;) {
    const record = (await findRecord<Proof>(client, declaration, rotation))!;
    if (record.phase === 'done') return ended('done', record);
    const end = await advance(client, declaration, keyset, record, options);
    if (end !== undefined) return end;
    if (options.signal.aborted) return { kind: 'stopped' };
  }
}

function ended(kind: 'done' | 'already', { rewritten, resealed, proof }: RekeyRecord<Proof>): RekeyOutcome {
  return { kind, rewritten, resealed, proof };
}

/** Brings a rekey to its next phase. @returns undefined where it got there, or was to stop */
async function advance(
  client: ClientBase,
  declaration: TableDeclaration,
  keyset: Keyset,
  record: RekeyRecord<Proof>,
  options: RekeyOptions,
): Promise<RekeyOutcome | undefined> {
  const { rotation, progress, signal } = options;
  switch (record.phase) {
    case 'aliases':
      await renewAliases(client, declaration, keyset, options);
      if (signal.aborted) return undefined;
      progress.note('counting the rows of every value');
      await count(client, declaration, 'before', options, () =>
        enterPhase(client, declaration, record.id, 'rows'),
      );
      return undefined;
    case 'rows':
      return rewriteAndProve(client, declaration, keyset, record, options);
    default:
      await cleanUp(client, declaration, rotation.from);
      await enterPhase(client, declaration, record.id, 'done', record.proof);
      return undefined;
  }
}

async function renewAliases(
  client: ClientBase,
  declaration: TableDeclaration,
  keyset: Keyset,
  options: RekeyOptions,
): Promise<void> {
  const { rotation, progress, signal } = options;
  await fillAliases(client, declaration, keyset, rotation, progress, options);
  if (!signal.aborted) await dropFormerAliases(client, declaration, rotation.to);
}

/** Milliseconds between two words of a statement that reads the whole table. */
const SIGN_OF_LIFE = 10_000;

/**
 * Takes a census, and does something else in the same transaction. Where it is to stop it does not wait for the server, which
 * ends what it does when the connection is closed.
 */
async function count(
  client: ClientBase,
  declaration: TableDeclaration,
  moment: Moment,
  { onBatch, signal }: Pace,
  withIt: () => Promise<void> = async () => {},
): Promise<void> {
  const life = setInterval(onBatch, SIGN_OF_LIFE);
  const over = new AbortController();
  const stopped = once(signal, 'abort', { signal: over.signal }).catch(() => {});
  const work = transact(client, async () => {
    await takeCensus(client, declaration, moment);
    await withIt();
  });
  try {
    await Promise.race([work, stopped]);
    onBatch();
  } finally {
    work.catch(() => {});
    over.abort();
    clearInterval(life);
  }
}

/** Functions keep a keyset for five minutes, and an invocation takes one more at most. */
const PATIENCE = 600_000;

async function rewriteAndProve(
  client: ClientBase,
  declaration: TableDeclaration,
  keyset: Keyset,
  record: RekeyRecord,
  options: RekeyOptions,
): Promise<RekeyOutcome | undefined> {
  const { rotation, progress, signal, patience = PATIENCE } = options;
  // Another promotion was cut off, and the aliases are those of its key.
  if (await hasLeftovers(client, declaration, rotation.to, rotation.from))
    await renewAliases(client, declaration, keyset, options);
  const isOver = countdown(patience);
  let rekey = { ...record, ...rotation };
  let wereLeft = false;
  while (!signal.aborted) {
    const { kind, rewritten } = await rewriteAll(client, declaration, keyset, rekey, { ...options, isOver });
    if (kind !== 'clean') return { kind };
    rekey = { ...rekey, ...BEGINNING };
    if (await hasSettled(client, options)) {
      progress.note('counting the rows of every value again, and comparing');
      await count(client, declaration, 'after', options);
      if (signal.aborted) break;
      const proof = await compareCensuses(client, declaration, keyset, rekey, record.started);
      // What came in since the pass is rewritten in another; what nobody can read stays.
      if (proof.left === 0 || !(await canRewriteLeft(client, declaration, keyset, rekey))) {
        await enterPhase(client, declaration, record.id, 'cleanup', proof);
        return undefined;
      }
      if (wereLeft && rewritten === 0) return { kind: 'kept' };
      if (isOver()) return { kind: 'written' };
      wereLeft = true;
      await pauseFor(SETTLE, signal);
    }
  }
  return undefined;
}

/** True when so many milliseconds have passed since it was asked first. */
function countdown(milliseconds: number): () => boolean {
  let since: number | undefined;
  return () => {
    since ??= performance.now();
    return performance.now() - since > milliseconds;
  };
}

/** Milliseconds between two looks at what is left. */
const SETTLE = 1_000;
/** Milliseconds between two looks for what functions still write with the old key. */
const LOOK = 15_000;

/** Waits a little where functions may still write with the old key. @returns whether none does any more */
async function hasSettled(
  client: ClientBase,
  { rotation, settling = SETTLING, progress, signal }: RekeyOptions,
): Promise<boolean> {
  const left = await timeToSettle(client, rotation.to, settling);
  if (left <= 0) return true;
  const until = new Date(Date.now() + left).toISOString().replace(/\.\d+Z$/, 'Z');
  progress.note(
    `waiting until ${until}: functions that have not read the keyset again since the promotion of key "${rotation.to}" may write with "${rotation.from}" until then; what they write is rewritten. Ctrl-C ends the wait, and the same command goes on`,
  );
  await pauseFor(Math.min(left, LOOK), signal);
  return false;
}

/** Aliases that are deleted in one statement. */
const ALIASES_A_STATEMENT = 10_000;

/** No row needs them any more: nothing of the old key is left but what nobody can read. */
async function cleanUp(client: ClientBase, declaration: TableDeclaration, from: string): Promise<void> {
  const aliases = aliasesTable(declaration);
  for (let deleted: number | null = ALIASES_A_STATEMENT; deleted; ) {
    const { rowCount } = await client.query(
      `DELETE FROM ${aliases} WHERE ctid = ANY (ARRAY(
         SELECT ctid FROM ${aliases} WHERE ${isOf(from, 'token')} LIMIT ${ALIASES_A_STATEMENT}))`,
    );
    deleted = rowCount;
  }
  await client.query(`DELETE FROM ${groupsTable(declaration)}`);
  // Where the role may, and autovacuum is not at it: analysts' plans count on it, and the dead rows are read until somebody
  // takes them away.
  await client.query(`VACUUM (ANALYZE, SKIP_LOCKED) ${aliases}, ${groupsTable(declaration)}`);
}
