/** A laptop, unlike Lambda, freezes a process in the middle of an invocation as well. */
import type { SQSRecord } from 'aws-lambda';
import { describe, expect, it, vi } from 'vitest';
import { useAwsServer } from '../support/aws-server.ts';
import { useDatabase } from '../support/database.ts';
import { useLedger } from './ledger.ts';
import { useLongLives } from './long-life-process.ts';
import { expectNothingPlanted, idsOf, planted, plantedRecord } from './planted.ts';
import { waitForLockWait, whileStoppedAt, withSession } from './server-side.ts';

const database = useDatabase();
const aws = useAwsServer();
const { start, setPassword } = useLongLives(database, aws);
const { follow, reconcile } = useLedger(database);

/** Of the invocation that is frozen. */
const MILLISECONDS = 4_000;
const STOP = 'CANARY-STOP';

type Work<T> = (goOn: () => Promise<void>) => Promise<T>;

/** The server stops at the COMMIT of a row of the user STOP until it is let go on. */
async function whileStoppedAtCommit<T>(work: Work<T>): Promise<T> {
  await database.client.query(`
    CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      PERFORM pg_advisory_xact_lock_shared(1);
      RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER stop AFTER INSERT ON user_logins DEFERRABLE INITIALLY DEFERRED
      FOR EACH ROW WHEN (NEW.user_id = '${STOP}') EXECUTE FUNCTION stop()`);
  try {
    return await withSession(database, async (session) => {
      await session.query('SELECT pg_advisory_lock(1)');
      return work(async () => {
        await session.query('SELECT pg_advisory_unlock(1)');
      });
    });
  } finally {
    await database.client.query('DROP FUNCTION stop CASCADE');
  }
}

const stopping = () => plantedRecord({ user_id: STOP });

/** More than the sockets' buffers take. */
function large(): SQSRecord[] {
  const filling = '\u{1f600}'.repeat(80);
  return Array.from({ length: 9_999 }, (_, i) => plantedRecord({ user_id: `CANARY-${i}-${filling}` }));
}

interface Case {
  readonly name: string;
  readonly batch: () => SQSRecord[];
  readonly whileStopped: <T>(work: Work<T>) => Promise<T>;
  /** Of the server's session when it can't go on without the process. */
  readonly state: string;
  readonly committed: boolean;
}

const cases: readonly Case[] = [
  {
    name: 'in a COPY of whose rows some are not sent yet',
    batch: () => [stopping(), ...large()],
    whileStopped: (work) => whileStoppedAt(database, STOP, work),
    state: 'active',
    committed: false,
  },
  {
    name: 'in a COMMIT that takes place',
    batch: () => [...planted(500), stopping(), ...planted(500)],
    whileStopped: whileStoppedAtCommit,
    state: 'idle',
    committed: true,
  },
];

async function waitForServer(state: string): Promise<void> {
  await vi.waitFor(
    async () => {
      const sessions = await database.rows(
        `SELECT state, wait_event FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'vizard'`,
      );
      expect(sessions).toEqual([{ state, wait_event: 'ClientRead' }]);
    },
    { timeout: 10_000, interval: 20 },
  );
}

const sorted = (ids: readonly string[]) => ids.toSorted();

describe('an invocation that is frozen until its time is over comes back, and nothing is lost or doubled:', () => {
  it.each(cases)('$name', async ({ batch: make, whileStopped, state, committed }) => {
    await setPassword('CANARY-FIRST');
    const life = start();
    const { invoke } = follow({ invoke: life.invoke, reports: [], failures: [], log: [] });
    await invoke(planted(1));
    const batch = make();

    await whileStopped(async (goOn) => {
      const end = Date.now() + MILLISECONDS;
      const invocation = invoke(batch, { milliseconds: MILLISECONDS });
      const answer = expect(invocation.then(sorted)).resolves.toEqual(sorted(idsOf(batch)));
      await waitForLockWait(database);
      await life.whileFrozen(async () => {
        await goOn();
        await waitForServer(state);
        await vi.waitFor(() => expect(Date.now()).toBeGreaterThan(end), { timeout: 2 * MILLISECONDS });
      });
      await answer;
    });

    expect(await database.count()).toBe(1 + (committed ? batch.length : 0));
    expect(await invoke(planted(3))).toEqual([]);
    await reconcile();
    const { exitCode, output } = await life.end();
    expect(exitCode).toBe(0);
    expectNothingPlanted(output);
  });
});
