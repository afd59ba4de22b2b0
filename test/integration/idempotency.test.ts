import { describe, expect, it } from 'vitest';
import { useDatabase } from '../support/database.ts';
import { useFunctions } from '../support/function.ts';
import { record, records, SENT } from '../support/records.ts';

const database = useDatabase();
const createFunction = useFunctions();

describe('one event makes one row', () => {
  it('when two messages carry its EventId and EventTime', async () => {
    const { invoke, reports } = createFunction({ databaseUrl: database.url });
    const attributes = { EventId: 'order-17', EventTime: '2024-02-29T23:59:59Z' };
    const first = record(undefined, { attributes });
    const second = record(undefined, { attributes, sentTimestamp: String(SENT + 86_400_000) });

    await invoke([first]);
    await invoke([second]);

    expect(reports.map(({ stored, duplicates }) => [stored, duplicates])).toEqual([
      [1, 0],
      [0, 1],
    ]);
    expect(await database.rows('SELECT create_date::text AS date FROM user_logins')).toEqual([
      { date: '2024-02-29' },
    ]);
  });

  it('when it comes again after midnight', async () => {
    const { invoke } = createFunction({ databaseUrl: database.url });
    const midnight = Date.UTC(2024, 2, 1);
    const message = record(undefined, { sentTimestamp: String(midnight - 1) });

    await invoke([message]);
    await invoke([{ ...message, attributes: { ...message.attributes, ApproximateReceiveCount: '2' } }]);

    expect(await database.rows('SELECT create_date::text AS date FROM user_logins')).toEqual([
      { date: '2024-02-29' },
    ]);
  });

  it('when fresh and redelivered messages are mixed', async () => {
    const { invoke, reports } = createFunction({ databaseUrl: database.url });
    const batch = records(3_000);
    await invoke(batch.slice(0, 1_000));
    const mixed = batch.map((message, i) =>
      i < 1_500
        ? { ...message, attributes: { ...message.attributes, ApproximateReceiveCount: '2' } }
        : message,
    );

    expect(await invoke(mixed)).toEqual([]);

    expect(reports[1]).toMatchObject({ received: 3_000, stored: 2_000, duplicates: 1_000 });
    expect(await database.count()).toBe(3_000);
  });
});
