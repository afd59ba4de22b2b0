import { expect, it } from 'vitest';
import { type EventSourceMapping, runEventSourceMapping } from '../../bin/local/event-source-mapping.ts';
import { useDatabase } from '../support/database.ts';
import type { FunctionUnderTest } from '../support/function.ts';
import { type TestQueue, useQueues } from '../support/queue.ts';
import { useLedger } from './ledger.ts';
import { planted, plantedRecord } from './planted.ts';
import { waitForLockWait, whileStoppedAt } from './server-side.ts';

const database = useDatabase();
const { createFunction, reconcile } = useLedger(database);
const createQueue = useQueues();

const MIDDLE = 'CANARY-MIDDLE';

/** An event source mapping of its own for a function, until the queue is drained. */
function drain(queue: TestQueue, { invoke }: FunctionUnderTest): Promise<void> {
  const mapping: EventSourceMapping = {
    queue,
    handler: async ({ Records }) => ({
      batchItemFailures: (await invoke(Records)).map((itemIdentifier) => ({ itemIdentifier })),
    }),
    batchSize: 1_000,
    maxReceiveCount: 5,
    exclusive: true,
    follow: false,
    signal: new AbortController().signal,
    onAnswer() {},
    onFailure() {},
  };
  return runEventSourceMapping(mapping);
}

it('what SQS delivers again while the first invocation still runs is one row, and both answers are right', async () => {
  const queue = await createQueue({ visibilityTimeoutSeconds: 1, maxReceiveCount: 5 });
  const functions = [1, 2].map(() => createFunction({ databaseUrl: database.url }));
  const batch = [...planted(50), plantedRecord({ user_id: MIDDLE }), ...planted(50)];
  await queue.send(batch.map(({ body }) => body));

  await whileStoppedAt(database, MIDDLE, async (goOn) => {
    const first = drain(queue, functions[0]!);
    const running = await waitForLockWait(database);
    const second = drain(queue, functions[1]!);
    await waitForLockWait(database, [running]);
    await goOn();
    await Promise.all([first, second]);
  });

  const reports = functions.flatMap(({ reports }) => reports);
  expect(reports.length).toBeGreaterThanOrEqual(2);
  expect(reports.flatMap(({ rejected, retried }) => [...rejected, ...retried])).toEqual([]);
  expect(reports.reduce((sum, { stored }) => sum + stored, 0)).toBe(101);
  expect(await database.count()).toBe(101);
  expect(await queue.deadLetters?.state()).toMatchObject({ visible: 0 });
  await reconcile();
});
