import { VizardError } from '../../../lambda/errors.ts';
import { loginEvents } from '../../../lambda/events/login-event.ts';
import { parseKeyset } from '../../../lambda/masking/keyset.ts';
import type { AuditRow } from '../../../lambda/postgres/audit/audit.ts';
import type { DatabaseClient } from '../../../lambda/postgres/connection.ts';
import { findDeclaration } from '../../../lambda/postgres/schema/find-declaration.ts';
import { identifyPerson, passGate } from '../../keys/gate.ts';
import { findKeyset, type KeysetOptions, type KeysetStore } from '../../keys/keyset-store.ts';
import { requireAllKeys } from '../../keys/known-keys.ts';
import { READS_ALL, readValues, seek, soughtUnder, type ValueOptions } from '../../keys/known-person.ts';
import { canAsk, confirm } from '../../local/confirm.ts';
import { type DatabaseOptions, withDatabase } from '../../local/find-database.ts';
import { sayWhatTakesLong } from '../../local/progress.ts';
import { countRemoval, type Erasure, eraseRows, type Removal } from './erase-rows.ts';
import { isNothing, renderOutcome, renderPlan } from './report.ts';

export type EraseOptions = DatabaseOptions &
  KeysetOptions &
  ValueOptions & {
    readonly reason: string;
    readonly blank: boolean;
    readonly dryRun: boolean;
    readonly yes: boolean;
    readonly json: boolean;
  };

/** `vizard erase`: deletes or blanks the rows of a person of whom a value is known. @returns the exit code: 1 where rows could not be searched */
export async function erase(options: EraseOptions): Promise<number> {
  const { blank, dryRun, yes } = options;
  if (!dryRun && !yes && !canAsk())
    throw new VizardError(
      'erase deletes for good: expected a terminal to ask on, got none; pass --yes, or --dry-run to count the rows',
    );
  const store = findKeyset(options);
  const person = await identifyPerson(store, options.reason);
  const values = await readValues(loginEvents, options, person.reason);
  return withDatabase(options, async (client) => {
    const text = await store.readText();
    const keyset = parseKeyset(text, store.name);
    const declaration = await findDeclaration(client);
    const unsearched = await requireAllKeys(client, declaration, keyset);
    const sought = seek(keyset, declaration, values);
    const asked = soughtUnder(keyset, sought);
    const checkKeyset = () => requireUnchanged(store, text);
    const erasure: Erasure = { declaration, sought, blank, person, asked, checkKeyset };
    const tell = (told: EraseOptions, outcome: Outcome) => report(told, { ...outcome, unsearched });
    const eraseThem = (expected?: number) =>
      sayWhatTakesLong(READS_ALL, () => eraseRows(client, erasure, expected));
    if (yes && !dryRun) return tell(options, await eraseThem());
    return preview(client, erasure, async (counted) => {
      const nothing = { ...options, dryRun: true };
      if (dryRun || isNothing(counted)) return tell(nothing, counted);
      process.stderr.write(`${renderPlan(counted, declaration.table, blank)}\n`);
      const answer = await confirm(blank && counted.rows > 0 ? 'Empty them?' : 'Delete them?');
      if (answer.yes) return tell(options, await eraseThem(counted.rows));
      process.stderr.write('nothing was changed\n');
      if (options.json) tell(nothing, counted);
      return answer.exitCode || 1;
    });
  });
}

/** Under a key that came meanwhile, rows may be that were not sought. */
async function requireUnchanged(store: KeysetStore, text: string): Promise<void> {
  if ((await store.readText()) === text) return;
  throw new VizardError(`${store.name}: the keyset was changed meanwhile; nothing was erased, run it again`);
}

interface Outcome extends Removal {
  readonly row: AuditRow;
}

/** How many rows somebody has says that they have some: it is looked up, and on record before it is shown. */
async function preview(
  client: DatabaseClient,
  erasure: Erasure,
  show: (counted: Outcome) => Promise<number> | number,
): Promise<number> {
  const removal = await sayWhatTakesLong(READS_ALL, () => countRemoval(client, erasure));
  const asked = { ...erasure.asked, action: 'lookup', count: removal.rows } as const;
  return passGate(client, erasure.person, asked, (row) => show({ ...removal, row }));
}

function report(
  { json, blank, dryRun }: EraseOptions,
  { row, unsearched, ...removal }: Outcome & { readonly unsearched: readonly string[] },
): number {
  const { rows, sealedValues, aliases } = removal;
  const done = { [blank ? 'blanked' : 'erased']: rows, sealedValues, aliases };
  const output = { dryRun, ...done, unsearched, audit: { number: row.number, hash: row.hash } };
  process.stdout.write(`${json ? JSON.stringify(output) : renderOutcome(removal, { blank, dryRun })}\n`);
  return unsearched.length > 0 ? 1 : 0;
}
