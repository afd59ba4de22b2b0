import { inspect } from 'node:util';
import type { SQSRecord } from 'aws-lambda';
import { beforeEach, expect } from 'vitest';
import { VizardError } from '../../lambda/errors.ts';
import { parseAddress } from '../../lambda/events/address.ts';
import { eventId } from '../../lambda/events/identity.ts';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { unmask } from '../../lambda/masking/masker.ts';
import type { TestDatabase } from '../support/database.ts';
import { type FunctionOptions, type FunctionUnderTest, keyset, useFunctions } from '../support/function.ts';
import { expectNothingPlanted, idsOf, planted, redelivered } from './planted.ts';

/** What a test sent and what it was answered, in order that nothing gets lost unnoticed. */
export interface Ledger {
  /** A function whose invocations are written down. */
  createFunction(options: FunctionOptions): FunctionUnderTest;
  /** The same of one that is there already, such as in a process of its own. */
  follow(created: FunctionUnderTest): FunctionUnderTest;
  /** The same with an open connection over which it has said all that it says once. */
  warmFunction(options: FunctionOptions): Promise<FunctionUnderTest>;
  /**
   * Settles the account when the fault is over: delivers again what nobody has acknowledged, and fails unless every
   * accepted event is one row with its own values, an invocation of each function works, and nothing planted was
   * logged, answered or thrown.
   *
   * @param rejected what may never be stored
   */
  reconcile(rejected?: readonly SQSRecord[]): Promise<void>;
}

interface Invocation {
  readonly batch: readonly SQSRecord[];
  /** The ids that it named, or what it threw. */
  readonly outcome: readonly string[] | { readonly thrown: unknown };
}

export function useLedger(database: Pick<TestDatabase, 'rows'>): Ledger {
  const create = useFunctions();
  const functions: FunctionUnderTest[] = [];
  const invocations: Invocation[] = [];
  beforeEach(() => {
    functions.length = invocations.length = 0;
  });

  const createFunction = (options: FunctionOptions) => follow(create(options));

  function follow(created: FunctionUnderTest): FunctionUnderTest {
    const invoke: FunctionUnderTest['invoke'] = async (batch, limits) => {
      try {
        const failed = await created.invoke(batch, limits);
        invocations.push({ batch, outcome: failed });
        return failed;
      } catch (thrown) {
        invocations.push({ batch, outcome: { thrown } });
        throw thrown;
      }
    };
    const written = { ...created, invoke };
    functions.push(written);
    return written;
  }

  async function warmFunction(options: FunctionOptions): Promise<FunctionUnderTest> {
    const created = createFunction(options);
    await created.invoke(planted(1));
    created.reports.length = created.log.length = 0;
    return created;
  }

  function acknowledged(): Set<string> {
    const ids = invocations.flatMap(({ batch, outcome }) => {
      const failed = new Set('thrown' in outcome ? idsOf(batch) : outcome);
      return idsOf(batch).filter((id) => !failed.has(id));
    });
    return new Set(ids);
  }

  async function reconcile(rejected: readonly SQSRecord[] = []): Promise<void> {
    for (const invocation of invocations) checkOutcome(invocation);
    const all = new Map(
      invocations.flatMap(({ batch }) => batch.map((message) => [message.messageId, message])),
    );
    const done = acknowledged();
    const kept = await storedEvents(database);
    expect(
      [...done].filter((id) => !kept.has(eventId(all.get(id)!))),
      'acknowledged and lost',
    ).toEqual([]);

    const rest = [...all.values()].filter(({ messageId }) => !done.has(messageId));
    for (const { invoke } of functions) {
      expect(new Set(await invoke([...redelivered(rest), ...planted(2)]))).toEqual(new Set(idsOf(rejected)));
    }
    const refused = new Set(idsOf(rejected));
    const sent = invocations.flatMap(({ batch }) => batch).filter(({ messageId }) => !refused.has(messageId));
    expectRows(await storedEvents(database), sent);
    const said = functions.map(({ log, reports, failures }) => [log, reports, failures]);
    // All of it: inspect shows a hundred items of a list where it is not told otherwise.
    const whole = { depth: null, maxArrayLength: null, maxStringLength: null };
    expectNothingPlanted(inspect([said, invocations.map(({ outcome }) => outcome)], whole));
  }

  return { createFunction, follow, warmFunction, reconcile };
}

/** Names ids of its own batch, each once, or is a failure that has a name. */
function checkOutcome({ batch, outcome }: Invocation): void {
  if ('thrown' in outcome) {
    expect(outcome.thrown).toBeInstanceOf(VizardError);
    expect((outcome.thrown as Error).name).toMatch(/^(Database|Login|Keyset)Failure$/);
    return;
  }
  const ids = new Set(idsOf(batch));
  expect(new Set(outcome).size).toBe(outcome.length);
  expect(outcome.every((id) => ids.has(id))).toBe(true);
}

/** The values of every row, by event: one text a row. */
async function storedEvents({ rows }: Pick<TestDatabase, 'rows'>): Promise<Map<string, string[]>> {
  const [, , ip, device] = loginEvents.columns;
  const stored = await rows<{
    event_id: string;
    user_id: string;
    masked_ip: string;
    masked_device_id: string;
  }>('SELECT event_id, user_id, masked_ip, masked_device_id FROM user_logins');
  const ips = unmask(
    keyset,
    ip,
    stored.map(({ masked_ip }) => masked_ip),
  );
  const devices = unmask(
    keyset,
    device,
    stored.map(({ masked_device_id }) => masked_device_id),
  );
  const events = stored.map(({ event_id, user_id }, i) => ({
    event_id,
    text: rowText(user_id, ips[i], devices[i]),
  }));
  const grouped = Map.groupBy(events, ({ event_id }) => event_id);
  return new Map([...grouped].map(([id, group]) => [id, group.map(({ text }) => text)]));
}

function rowText(user: string, ip: Uint8Array | undefined, device: Uint8Array | undefined): string {
  return [user, ip && Buffer.from(ip).toString('hex'), device && Buffer.from(device).toString()].join(' ');
}

/** Says which events are wrong, and not how. */
function expectRows(stored: ReadonlyMap<string, readonly string[]>, sent: readonly SQSRecord[]): void {
  const expected = new Map(sent.map((message) => [eventId(message), describeEvent(message)]));
  const rows = [...stored];
  const wrong = {
    lost: [...expected.keys()].filter((id) => !stored.has(id)),
    doubled: rows.flatMap(([id, { length }]) => (length > 1 ? [id] : [])),
    unexpected: rows.flatMap(([id]) => (expected.has(id) ? [] : [id])),
    altered: rows.flatMap(([id, [row]]) => (expected.has(id) && expected.get(id) !== row ? [id] : [])),
  };
  const some = Object.entries(wrong).map(([what, ids]) => ({ what, events: ids.length, such_as: ids[0] }));
  expect(some.filter(({ events }) => events > 0)).toEqual([]);
}

function describeEvent({ body }: SQSRecord): string {
  const { user_id, ip, device_id } = JSON.parse(body) as Record<'user_id' | 'ip' | 'device_id', string>;
  return rowText(user_id, parseAddress(ip), Buffer.from(device_id));
}
