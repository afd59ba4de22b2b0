import { describe, expect, it } from 'vitest';
import type { BatchReport } from '../../lambda/ingest.ts';
import { useDatabase } from '../support/database.ts';
import { useLedger } from './ledger.ts';
import { planted, redelivered } from './planted.ts';

const database = useDatabase();
const { createFunction, reconcile } = useLedger(database);

const counts = (reports: readonly BatchReport[]) =>
  reports.map(({ stored, duplicates }) => [stored, duplicates]);

describe('the same event twice is one row', () => {
  it('when it is delivered again, and again as if for the first time', async () => {
    const { invoke, reports } = createFunction({ databaseUrl: database.url });
    const batch = planted(1);

    await invoke(batch);
    await invoke(redelivered(batch));
    await invoke(batch);

    expect(counts(reports)).toEqual([
      [1, 0],
      [0, 1],
      [0, 1],
    ]);
    await reconcile();
  });

  it('when it is twice in one batch', async () => {
    const { invoke, reports } = createFunction({ databaseUrl: database.url });
    const batch = planted(11);

    expect(await invoke([...batch, batch[0]!])).toEqual([]);

    expect(counts(reports)).toEqual([[11, 1]]);
    await reconcile();
  });
});

describe('the same events in two invocations at once, in opposite orders,', () => {
  it.each([
    ['for the first time', (batch: ReturnType<typeof planted>) => batch],
    ['again', redelivered],
  ])('are one row each, and no deadlock escapes: %s', async (_name, delivered) => {
    const functions = [1, 2].map(() => createFunction({ databaseUrl: database.url }));
    for (const { invoke } of functions) await invoke(planted(1));
    const batch = delivered(planted(2_000));

    const failed = await Promise.all([functions[0]!.invoke(batch), functions[1]!.invoke(batch.toReversed())]);

    expect(failed).toEqual([[], []]);
    const [stored, duplicates] = counts(functions.flatMap(({ reports }) => reports.slice(1))).reduce(
      ([s = 0, d = 0], [stored = 0, duplicates = 0]) => [s + stored, d + duplicates],
      [0, 0],
    );
    expect([stored, duplicates]).toEqual([2_000, 2_000]);
    await reconcile();
  });
});

describe('eight invocations at once with overlapping batches', () => {
  it('make one row of each event, and no deadlock escapes', async () => {
    const batch = planted(2_000);
    const functions = Array.from({ length: 8 }, () => createFunction({ databaseUrl: database.url }));

    await Promise.all(
      functions.map(({ invoke }, i) => {
        const overlapping = batch.slice(i * 200, i * 200 + 600);
        const delivered = i % 3 === 0 ? redelivered(overlapping) : overlapping;
        return invoke(i % 2 === 0 ? delivered : delivered.toReversed());
      }),
    );

    expect(functions.flatMap(({ reports }) => reports).flatMap(({ rejected }) => rejected)).toEqual([]);
    await reconcile();
  });
});
