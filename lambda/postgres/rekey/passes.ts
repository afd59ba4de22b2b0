import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientBase } from 'pg';
import type { TableDeclaration } from '../../events/declaration.ts';
import type { Keyset } from '../../masking/keyset.ts';
import { vaultTable } from '../vault/tables.ts';
import { type AliasFiller, aliasFiller, type Pace } from './aliases.ts';
import { type Position, type RekeyUnderWay, rewriteRows, rewriteVault } from './batch.ts';
import { blocksFor, type Relation, readRelations, within } from './blocks.ts';
import { moveOrphans } from './orphans.ts';
import { createMeter, type Meter, type RekeyProgress } from './progress.ts';

export interface PassesOptions extends Pace {
  /** Rows of a statement, about. */
  readonly batchSize: number;
  readonly progress: RekeyProgress;
}

export interface PassesEnd {
  /** `written`: functions still wrote with the old key when the patience was over. */
  readonly kind: 'clean' | 'stopped' | 'written';
  /** Rows of all passes. */
  readonly rewritten: number;
}

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 15_000;
export const BEGINNING: Position = { relation: '', block: 0 };

/** Goes through the table again and again until a whole pass has found no token of the old key that could be rewritten. */
export async function rewriteAll(
  client: ClientBase,
  declaration: TableDeclaration,
  keyset: Keyset,
  rekey: RekeyUnderWay & Position,
  options: PassesOptions & { readonly rows: number; readonly isOver: () => boolean },
): Promise<PassesEnd> {
  const { signal, progress, isOver } = options;
  const work: PassWork = {
    client,
    declaration,
    keyset,
    rekey,
    fill: await aliasFiller(client, declaration, keyset, rekey),
    meter: createMeter('rows rewritten', options.rows, progress),
    ...options,
  };
  let position: Position = rekey;
  let rewritten = 0;
  let pause = FIRST_PAUSE;
  for (let pass = 1; ; pass++) {
    const ofPass = await rewritePass(work, position);
    rewritten += ofPass;
    if (signal.aborted) return { kind: 'stopped', rewritten };
    const wasWhole = position.relation === '';
    if (ofPass === 0 && wasWhole) return { kind: 'clean', rewritten };
    position = BEGINNING;
    if (pass === 1) continue;
    // Ours were all rewritten in the first one.
    if (isOver()) return { kind: 'written', rewritten };
    progress.note(
      `${ofPass} rows have come under key "${rekey.from}" meanwhile: functions write with it until they have read the keyset again, which takes five minutes; looking again`,
    );
    await pauseFor(pause, signal);
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  }
}

/** Ends early where the work is to end. */
export async function pauseFor(milliseconds: number, signal: AbortSignal): Promise<void> {
  await sleep(milliseconds, undefined, { signal }).catch(() => {});
}

interface PassWork extends PassesOptions {
  readonly client: ClientBase;
  readonly declaration: TableDeclaration;
  readonly keyset: Keyset;
  readonly rekey: RekeyUnderWay;
  readonly fill: AliasFiller;
  readonly meter: Meter;
}

/** From a position to the end. @returns how many rows it rewrote */
async function rewritePass(work: PassWork, position: Position): Promise<number> {
  const { client, declaration, batchSize, signal } = work;
  const vault = vaultTable(declaration);
  const relations = [
    ...after(await readRelations(client, declaration.table), position, vault),
    ...(await readRelations(client, vault)),
  ];
  const blocks = blocksFor(batchSize);
  let rewritten = 0;
  for (const relation of relations) {
    const rewrite = relation.table === vault ? rewriteVaultStretch : rewriteStretch;
    const first = relation.name === position.relation ? position.block : 0;
    for (let from = first; from < relation.blocks; from += blocks) {
      if (signal.aborted) return rewritten;
      const to = from + blocks;
      const done = await rewrite(work, within(relation, from, to), { relation: relation.name, block: to });
      rewritten += done;
      if (relation.table !== vault) work.meter.add(done);
      work.onBatch();
    }
  }
  return rewritten;
}

/** Without relations that come before a position. One that it names may have been dropped since. */
function after(relations: readonly Relation[], { relation }: Position, vault: string): Relation[] {
  return relation === vault ? [] : relations.filter(({ name }) => name >= relation);
}

async function rewriteStretch(
  { client, declaration, rekey, fill }: PassWork,
  where: string,
  next: Position,
): Promise<number> {
  const { rewritten, left } = await rewriteRows(client, declaration, rekey, where, next);
  // Values that were new under the old key since the aliases were made.
  if (left === 0 || (await fill(where)).added === 0) return rewritten;
  const again = await rewriteRows(client, declaration, rekey, where, next);
  return rewritten + again.rewritten;
}

async function rewriteVaultStretch(
  { client, declaration, keyset, rekey }: PassWork,
  where: string,
  next: Position,
): Promise<number> {
  const { rewritten, left } = await rewriteVault(client, declaration, rekey, where, next);
  return left === 0 ? rewritten : rewritten + (await moveOrphans(client, declaration, keyset, rekey, where));
}
