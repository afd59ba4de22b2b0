import { VizardError } from '../../../lambda/errors.ts';
import type { TableDeclaration } from '../../../lambda/events/declaration.ts';
import { proveKey, proveLayers } from '../../../lambda/masking/key-proof.ts';
import { type Keyset, parseKeyset } from '../../../lambda/masking/keyset.ts';
import type { Action } from '../../../lambda/postgres/audit/audit.ts';
import type { DatabaseClient } from '../../../lambda/postgres/connection.ts';
import { checkKeys, type KnownProofs, readProofs } from '../../../lambda/postgres/keys/check.ts';
import { lockRekeys } from '../../../lambda/postgres/rekey/lock.ts';
import { findDeclaration } from '../../../lambda/postgres/schema/find-declaration.ts';
import { identifyPerson, passGate } from '../../keys/gate.ts';
import { findKeyset, type KeysetOptions, type KeysetStore } from '../../keys/keyset-store.ts';
import { canAsk, confirm } from '../../local/confirm.ts';
import { type DatabaseOptions, withDatabase } from '../../local/find-database.ts';
import { createProgress, type Progress } from '../../local/progress.ts';

export interface ChangeOptions extends KeysetOptions, DatabaseOptions {
  readonly reason: string;
  readonly dryRun: boolean;
  readonly json: boolean;
}

/** What a change is decided on. */
export interface Situation {
  readonly client: DatabaseClient;
  readonly declaration: TableDeclaration;
  readonly keyset: Keyset;
  /** The keyset as it stands there. */
  readonly text: string;
  readonly store: KeysetStore;
  /** Of the keys that the table was written with. */
  readonly proofs: KnownProofs;
  readonly progress: Progress;
}

/** What is to be done with a key. */
export interface Change {
  readonly kid: string;
  /** The keyset as it is to be; as it is, where only what is prepared changes. */
  readonly text: string;
  /** What becomes of the key, one line. */
  readonly outcome: string;
  /** What to do next, a line each. */
  readonly next: readonly string[];
  /** What can't be undone has to be agreed to. */
  readonly question?: string;
  /** Beside what every change says, for --json. */
  readonly details?: Readonly<Record<string, unknown>>;
  /** May take long, and changes nothing for anybody. Before the act stands in the trail, whose time is the one at which the keyset changes. */
  prepare?(): Promise<void>;
  /** Is done when the keyset has changed. */
  complete?(): Promise<void>;
}

/** There is nothing to do; why. */
export interface Unchanged {
  readonly kid: string;
  readonly already: string;
}

/** Milliseconds that the session of a command that was killed gets to end. */
const LOCK_PATIENCE = 2_000;

export type Plan = (situation: Situation) => Promise<Change | Unchanged>;

/**
 * Changes the keyset: plan, question, preparation, audit, write, and a look at what was written. It stays as it is where
 * somebody else changes it at the same time, or where the audit trail can't be written.
 *
 * @returns the exit code
 */
export async function changeKeyset(
  action: Action,
  options: ChangeOptions & { readonly yes?: boolean },
  plan: Plan,
): Promise<number> {
  const store = findKeyset(options);
  // Says why not, before anything is looked at or audited.
  if (store.kind === 'inline') await store.write('', '');
  const person = await identifyPerson(store, options.reason);
  // A rekey goes by the keyset that it found, and makes aliases as a promotion does.
  const lock = (client: DatabaseClient) => lockRekeys(client, LOCK_PATIENCE);
  const work = async (client: DatabaseClient) => {
    const situation = await examine(client, store);
    const change = await plan(situation);
    if ('already' in change) return report(action, change, options);
    if (options.dryRun) return report(action, change, options);
    if (change.question !== undefined && options.yes !== true) {
      const answer = await confirm(change.question);
      if (!answer.yes) {
        process.stderr.write('nothing was changed\n');
        return answer.exitCode || 1;
      }
    }
    const asked = { action, columns: [], kids: [change.kid], count: 0, tokens: [] };
    await change.prepare?.();
    const audit = await passGate(client, person, asked, async (row) => {
      await replace(situation, change.text);
      return row;
    });
    await change.complete?.();
    return report(action, change, options, audit.number);
  };
  return withDatabase(options, work, lock);
}

/** @throws KeysetFailure where the table was written with other keys than those of the keyset */
async function examine(client: DatabaseClient, store: KeysetStore): Promise<Situation> {
  const text = await store.readText();
  const keyset = parseKeyset(text, store.name);
  const declaration = await findDeclaration(client);
  const keys = keyset.kids.flatMap((kid) => [proveKey(keyset, kid), proveLayers(keyset, kid)]);
  await checkKeys(client, declaration, keys);
  const proofs = await readProofs(client, declaration);
  return { client, declaration, keyset, text, store, proofs, progress: createProgress() };
}

/** A change that asks can't be made where nobody answers. @throws VizardError */
export function requireAnswer(action: Action, { dryRun, yes }: { dryRun: boolean; yes: boolean }): void {
  if (dryRun || yes || canAsk()) return;
  throw new VizardError(
    `${action} can't be undone: expected a terminal to ask on, got none; pass --yes, or --dry-run to see what it would do`,
  );
}

/** @throws VizardError where something else stands there afterwards */
async function replace({ store, text }: Situation, written: string): Promise<void> {
  if (written === text) return;
  await store.write(written, text);
  if ((await store.readText()) === written) return;
  throw new VizardError(
    `${store.name}: expected the keyset that was just written, got another; see who else changes it, and look with \`vizard keys list\``,
  );
}

/** Prints what was done, or would be. @returns the exit code */
function report(
  action: Action,
  change: Change | Unchanged,
  { dryRun, json }: ChangeOptions,
  audit?: number,
): number {
  const { kid } = change;
  const changed = audit !== undefined;
  if (json) {
    const { primary } = 'text' in change ? parseKeyset(change.text) : { primary: undefined };
    const told =
      'already' in change
        ? { note: change.already }
        : { primary, ...change.details, note: change.outcome, next: change.next };
    process.stdout.write(`${JSON.stringify({ action, kid, dryRun, changed, audit, ...told })}\n`);
    return 0;
  }
  const lines =
    'already' in change
      ? [change.already]
      : [`${changed ? '' : 'would: '}${change.outcome}`, ...change.next.map((line) => `next: ${line}`)];
  process.stdout.write(`${lines.join('\n')}\n`);
  return 0;
}
