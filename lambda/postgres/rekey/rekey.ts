import type { ClientBase } from 'pg';
import type { TableDeclaration } from '../../events/declaration.ts';
import type { Keyset } from '../../masking/keyset.ts';
import type { Rotation } from '../../masking/retoken.ts';
import { inTransaction } from '../transaction.ts';
import { fillAliases } from './aliases.ts';
import { isOf } from './batch.ts';
import { compareCensuses, type Proof, takeCensus } from './census.ts';
import { type PassesOptions, pauseFor, rewriteAll } from './passes.ts';
import { enterPhase, findRecord, openRecord, type RekeyRecord } from './record.ts';
import { aliasesTable, groupsTable } from './tables.ts';

export interface RekeyOptions extends PassesOptions {
  readonly rotation: Rotation;
  /** Rows that have a token of the old key. */
  readonly rows: number;
}

/** What became of a rekey. */
export type RekeyOutcome =
  /** `unproven`: it isn't finished, and what was compared does not agree; another run compares again. */
  | { readonly kind: 'done' | 'already' | 'unproven'; readonly rewritten: number; readonly proof: Proof }
  /** `stopped`: somebody wished so. `written`: functions still wrote with the old key when the patience was over. */
  | { readonly kind: 'stopped' | 'written' };

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
  const { rotation, rows } = options;
  const existing = await findRecord<Proof>(client, declaration, rotation);
  if (existing?.phase === 'done' && rows === 0) return { kind: 'already', ...existing };
  if (existing === undefined || existing.phase === 'done') await openRecord(client, declaration, rotation);
  for (;;) {
    const record = (await findRecord<Proof>(client, declaration, rotation))!;
    if (record.phase === 'done') return { kind: 'done', ...record };
    const end = await advance(client, declaration, keyset, record, options);
    if (end !== undefined) return end;
    if (options.signal.aborted) return { kind: 'stopped' };
  }
}

/** Brings a rekey to its next phase. @returns undefined where it got there */
async function advance(
  client: ClientBase,
  declaration: TableDeclaration,
  keyset: Keyset,
  record: RekeyRecord<Proof>,
  options: RekeyOptions,
): Promise<RekeyOutcome | undefined> {
  const { rotation, progress } = options;
  switch (record.phase) {
    case 'aliases':
      await fillAliases(client, declaration, keyset, rotation, progress);
      progress.note('counting the rows of every value');
      await transact(client, async () => {
        await takeCensus(client, declaration, 'before');
        await enterPhase(client, declaration, record.id, 'rows');
      });
      return undefined;
    case 'rows':
      return rewriteAndProve(client, declaration, keyset, record, options);
    default:
      await cleanUp(client, declaration, rotation.from);
      await enterPhase(client, declaration, record.id, 'done', record.proof);
      return undefined;
  }
}

async function rewriteAndProve(
  client: ClientBase,
  declaration: TableDeclaration,
  keyset: Keyset,
  record: RekeyRecord,
  options: RekeyOptions,
): Promise<RekeyOutcome | undefined> {
  const { rotation, progress, signal } = options;
  let rekey = { ...record, ...rotation };
  let left: number | undefined;
  for (;;) {
    const end = await rewriteAll(client, declaration, keyset, rekey, options);
    if (end !== 'clean') return { kind: end };
    progress.note('counting the rows of every value again, and comparing');
    await transact(client, () => takeCensus(client, declaration, 'after'));
    const proof = await compareCensuses(client, declaration, rotation.from, record.started);
    // What came in since the pass is rewritten in another; what stays after that is what nobody can read.
    if (proof.left === 0 || proof.left === left) {
      if (proof.verdict === 'failed') return unproven(client, declaration, rotation, proof);
      await enterPhase(client, declaration, record.id, 'cleanup', proof);
      return undefined;
    }
    left = proof.left;
    rekey = { ...rekey, relation: '', block: 0 };
    await pauseFor(SETTLE, signal);
  }
}

async function unproven(
  client: ClientBase,
  declaration: TableDeclaration,
  rotation: Rotation,
  proof: Proof,
): Promise<RekeyOutcome> {
  const { rewritten } = (await findRecord(client, declaration, rotation))!;
  return { kind: 'unproven', rewritten, proof };
}

/** Milliseconds between two looks at what is left. */
const SETTLE = 1_000;

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
  // Where the role may: analysts' plans count on it, and the dead rows are read until somebody takes them away.
  await client.query(`VACUUM (ANALYZE) ${aliases}, ${groupsTable(declaration)}`);
}

function transact<T>(client: ClientBase, work: () => Promise<T>): Promise<T> {
  return inTransaction(client, async () => {
    await client.query('BEGIN');
    const result = await work();
    await client.query('COMMIT');
    return result;
  });
}
