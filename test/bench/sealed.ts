import { generateKeyPairSync } from 'node:crypto';
import type { SQSRecord } from 'aws-lambda';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { parseKeyset } from '../../lambda/masking/keyset.ts';
import { parseRecoveryKey } from '../../lambda/masking/sealing.ts';
import { migrate } from '../../lambda/postgres/schema/schema.ts';
import { KEYSET_JSON, loginEvent, record } from '../support/records.ts';
import { type Aim, type Benchmark, compared, count, type Figure } from './benchmark.ts';
import { type BenchDatabase, openHandler } from './database.ts';
import { type Batches, intoEmpty, LARGE_BATCHES } from './handler-round.ts';
import { type Round, timed } from './rounds.ts';
import type { Stage } from './stage.ts';

const REPEATED: Aim = { atMost: 1.5 };
const NEW: Aim = { atMost: 3 };

export const benchmark: Benchmark = {
  title: 'the handler where values are sealed ÷ the same where they are only irreversible',
  note: 'Every record has an address and a device id of its own. The vault grows from round to round.',
  run: (stage) =>
    stage.withDatabase(async (database) => {
      await migrate(database.client, loginEvents, { vault: true });
      const figures: Figure[] = [];
      for (const size of LARGE_BATCHES.filter(({ rows }) => rows <= stage.largest)) {
        figures.push(...(await atSize(stage, database, size)));
      }
      return figures;
    }),
};

async function atSize(stage: Stage, database: BenchDatabase, size: Batches): Promise<Figure[]> {
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 3072 });
  const recoveryKey = parseRecoveryKey(publicKey.export({ type: 'spki', format: 'pem' }).toString(), 'bench');
  const open = (changes = {}) => openHandler(database.url, { masking: 'irreversible', ...changes });
  // One each, because each remembers what is in the vault.
  const handlers = {
    plain: open(),
    cached: open({ recoveryKey }),
    half: open({ recoveryKey }),
    new: open({ recoveryKey }),
    // Another keyset each time, even of the same keys, makes it forget.
    forgotten: open({ recoveryKey, keyset: () => Promise.resolve(parseKeyset(KEYSET_JSON)) }),
  };
  const newValues = { plain: 1, cached: 0, half: 0.5, new: 1, forgotten: 0 };
  const rounds = Object.fromEntries(
    Object.entries(handlers).map(([way, { invoke }]) => {
      const share = newValues[way as keyof typeof newValues];
      return [way, intoEmpty(database, round(invoke, size, share))];
    }),
  ) as Record<keyof typeof handlers, Round>;
  try {
    const took = await stage.measure(`sealed batches of ${count(size.rows)} rows`, rounds);
    const figure = (way: keyof typeof took, what: string, aim?: Aim) =>
      compared(
        { what: `${count(size.rows)} rows, ${what}`, milliseconds: took[way] },
        { what: 'only irreversible', milliseconds: took.plain },
        { rows: size.rows, ...(aim && { aim }) },
      );
    return [
      figure('cached', 'values known to be in the vault', REPEATED),
      figure('half', 'half of the values new', NEW),
      figure('new', 'all values new', NEW),
      figure('forgotten', 'values in the vault, which nobody remembers', NEW),
    ];
  } finally {
    await Promise.all(Object.values(handlers).map(({ close }) => close()));
  }
}

/** @param share of the records whose values were never there before */
function round(
  invoke: (batch: readonly SQSRecord[]) => Promise<void>,
  { rows, batches }: Batches,
  share: number,
): Round {
  return async () => {
    const events = Array.from({ length: batches }, () => batchOf(rows, share));
    return timed(async () => {
      for (const event of events) await invoke(event);
    }, batches);
  };
}

/** Values that were there before are numbered from 0, others from here on. */
let next = 1_000_000;

function batchOf(rows: number, share: number): SQSRecord[] {
  const fresh = Array.from({ length: rows }, (_, i) => {
    const value = i < rows * share ? next++ : i;
    const body = loginEvent({
      ip: `2001:db8::${(value >> 16).toString(16)}:${(value & 0xffff).toString(16)}`,
    });
    return record({ ...body, device_id: `device-${value}` }, { sentTimestamp: String(Date.now()) });
  });
  return JSON.parse(JSON.stringify(fresh)) as SQSRecord[];
}
