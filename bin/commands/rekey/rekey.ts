import { DatabaseFailure, VizardError } from '../../../lambda/errors.ts';
import { isMasked, type TableDeclaration } from '../../../lambda/events/declaration.ts';
import { loginEvents } from '../../../lambda/events/login-event.ts';
import { proveKey, proveLayers } from '../../../lambda/masking/key-proof.ts';
import type { Keyset } from '../../../lambda/masking/keyset.ts';
import { layersBetween, type Rotation } from '../../../lambda/masking/retoken.ts';
import type { DatabaseClient } from '../../../lambda/postgres/connection.ts';
import { checkKeys, claimKeys } from '../../../lambda/postgres/keys/check.ts';
import { countRowsOf, type RowsOfKey } from '../../../lambda/postgres/rekey/count.ts';
import { lockRekeys } from '../../../lambda/postgres/rekey/lock.ts';
import { type RekeyOutcome, rekey as rewrite } from '../../../lambda/postgres/rekey/rekey.ts';
import { steadily } from '../../../lambda/postgres/rekey/steady.ts';
import { requireRekeyTables } from '../../../lambda/postgres/rekey/tables.ts';
import { findDeclaration } from '../../../lambda/postgres/schema/find-declaration.ts';
import { vaultTable } from '../../../lambda/postgres/vault/tables.ts';
import { identifyPerson, type Person, passGate } from '../../keys/gate.ts';
import { findKeyset, type KeysetOptions, type KeysetStore } from '../../keys/keyset-store.ts';
import { type DatabaseOptions, databaseAdvice, findDatabase } from '../../local/find-database.ts';
import { createProgress, type Progress } from '../../local/progress.ts';
import { onStopRequest, type StopRequest } from '../../local/stop.ts';
import { exitCodeOf, type Report, renderReport } from './report.ts';

export interface RekeyCommandOptions extends KeysetOptions, DatabaseOptions, Rotation {
  readonly reason: string;
  readonly batchSize: number;
  readonly now: boolean;
  readonly dryRun: boolean;
  readonly json: boolean;
}

/** Milliseconds that a session which was killed gets to end, and our own after its connection was lost. */
const LOCK_PATIENCE = { first: 4_000, again: 60_000 };

/** `vizard rekey`: rewrites the tokens of an old key. */
export async function rekey(options: RekeyCommandOptions): Promise<number> {
  const store = findKeyset(options);
  const person = await identifyPerson(store, options.reason);
  const database = await findDatabase(options);
  const stop = onStopRequest({ keys: false });
  try {
    const report = await run(database.url, { options, store, person, stop });
    process.stdout.write(`${options.json ? JSON.stringify(report) : renderReport(report)}\n`);
    return stop.exitCode() || exitCodeOf(report);
  } catch (error) {
    if (!(error instanceof DatabaseFailure)) throw error;
    const advice =
      databaseAdvice(error.code) ?? 'what was rewritten is committed, and the same command goes on there';
    throw new VizardError(`the database cannot be used (${error.code}); ${advice}`);
  } finally {
    stop.release();
    await database.stop?.();
  }
}

/** @throws VizardError where nothing is to be rewritten from the one key to the other */
function requireRotation(keyset: Keyset, { from, to }: Rotation): void {
  for (const [option, kid] of [
    ['--from', from],
    ['--to', to],
  ] as const) {
    if (keyset.kids.includes(kid)) continue;
    throw new VizardError(
      `${option}: expected one of [${keyset.kids.join(', ')}], got another key; see \`vizard keys list\``,
    );
  }
  if (from === to) throw new VizardError('--from and --to: expected two keys, got one');
  if (to === keyset.primary) return;
  throw new VizardError(
    `--to: expected the primary key "${keyset.primary}", with which new tokens are made, got "${to}"; run \`vizard keys promote ${to}\` first`,
  );
}

interface Job {
  readonly options: RekeyCommandOptions;
  readonly store: KeysetStore;
  readonly person: Person;
  readonly stop: StopRequest;
}

async function run(url: string, job: Job): Promise<Report> {
  const { options, store, stop } = job;
  const { from, to } = options;
  const progress = createProgress();
  let start: Start | undefined;
  const outcome = await steadily(
    { kind: 'url', url },
    async (client, gotOn): Promise<RekeyOutcome | undefined> => {
      // After every lock: without it, somebody else may have changed the keys.
      const keyset = await store.read();
      requireRotation(keyset, options);
      start ??= await begin(client, keyset, job, progress);
      const { declaration, count, begun } = start;
      if (begun === undefined) return undefined;
      // No function may have written with the new key yet, and the table is about to be.
      const layers = count.irreversible > 0 ? [proveLayers(keyset, to)] : [];
      await claimKeys(client, declaration, [proveKey(keyset, to), ...layers]);
      return rewrite(client, declaration, keyset, {
        rotation: { from, to },
        rows: count.rows,
        begun,
        batchSize: options.batchSize,
        ...(options.now && { settling: 0 }),
        signal: stop.signal,
        progress,
        onBatch: gotOn,
      });
    },
    {
      // Where a function seals a value at the same time.
      contested: `${vaultTable(loginEvents)}_pkey`,
      signal: stop.signal,
      prepare: (client) =>
        lockRekeys(client, start === undefined ? LOCK_PATIENCE.first : LOCK_PATIENCE.again),
      onInterruption: (code) =>
        progress.note(`the database interrupted the rekey (${code}); it goes on where it was`),
    },
  );
  return { from, to, ...start!.count, outcome };
}

interface Start {
  readonly declaration: TableDeclaration;
  readonly count: RowsOfKey;
  /** By the server's clock, in ISO 8601; undefined where it is not to begin. */
  readonly begun?: string;
}

/** Looks whether it can be done, and enters it in the audit trail. @throws VizardError where it can't */
async function begin(
  client: DatabaseClient,
  keyset: Keyset,
  { options: { from, to, dryRun }, person }: Job,
  progress: Progress,
): Promise<Start> {
  if (!dryRun) await requireWritable(client);
  const declaration = await findDeclaration(client);
  await requireRekeyTables(client, declaration);
  const proofs = [from, to].map((kid) => proveKey(keyset, kid));
  await checkKeys(client, declaration, [...proofs, proveLayers(keyset, to)]);
  progress.note(`counting the rows under key "${from}"`);
  const count = await countRowsOf(client, declaration, from);
  if (count.irreversible > 0 && layersBetween(keyset, { from, to }) === undefined) {
    throw new VizardError(
      `key "${to}": expected one that is layered over "${from}", because ${count.irreversible} ${count.irreversible === 1 ? 'row has' : 'rows have'} irreversible tokens, got one that is not; nobody can rewrite them`,
    );
  }
  if (dryRun) return { declaration, count };
  const columns = declaration.columns.filter(isMasked).map(({ column }) => column);
  const act = { action: 'rekey', columns, kids: [from, to], count: count.rows, tokens: [] } as const;
  return passGate(client, person, act, ({ at }) => ({ declaration, count, begun: at }));
}

/** A failover may leave us on a reader for a moment; one that is there from the start stays one. @throws VizardError */
async function requireWritable(client: DatabaseClient): Promise<void> {
  const { rows } = await client.query<{ readonly: string }>(
    `SELECT current_setting('transaction_read_only') AS readonly`,
  );
  if (rows[0]!.readonly === 'off') return;
  throw new VizardError(
    'the database: expected one that can be written to, got a read-only session; give --database-url of the primary server',
  );
}
