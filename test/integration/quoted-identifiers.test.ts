import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { runMigration } from '../../lambda/migration.ts';
import { useCli } from '../support/cli.ts';
import { useDatabase } from '../support/database.ts';
import { takeBackToFirstView } from '../support/first-view.ts';
import { memoryLog } from '../support/log.ts';
import { keep, TODAY } from '../support/partitions.ts';
import { useQueues } from '../support/queue.ts';
import { loginEvent } from '../support/records.ts';

const database = useDatabase({ empty: true });
const createCli = useCli();
const createQueue = useQueues();

/** What the migration, on a connection of its own, says. */
async function migration(target: { partitions?: { today: number } } = {}): Promise<string[]> {
  const { log, lines } = memoryLog();
  await runMigration(loginEvents, { login: database.login, ...target }, log);
  return lines.map(({ message }) => String(message));
}

/** For new sessions. */
const quote = (setting: 'on' | 'off') =>
  database.client.query(
    `ALTER DATABASE ${new URL(database.url).pathname.slice(1)} SET quote_all_identifiers = ${setting}`,
  );

beforeAll(() => quote('on').then(() => undefined));
beforeEach(async () => {
  await database.client.query('DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public');
});

describe('on a database that quotes all identifiers', () => {
  it('vizard run stores and shows events, however often', async () => {
    const queue = await createQueue();
    await queue.send([JSON.stringify(loginEvent()), JSON.stringify(loginEvent())]);
    const { queueUrl, endpointUrl } = queue;
    // Of one keyset.
    const cli = createCli();
    const run = (...options: string[]) =>
      cli.run([
        ...['run', '--queue-url', queueUrl, '--endpoint-url', endpointUrl, '--database-url', database.url],
        ...options,
      ]);

    expect((await run('--json')).json()).toMatchObject({ received: 2, stored: 2 });
    const { stdout } = await run();

    expect(stdout).toContain('user_logins: 2 of 2 rows');
    expect(stdout).toContain('user_login_repeats: 2 of 2 masked values');
  });

  it('partitions are made and kept up, and refused by a deployment that would not', async () => {
    await migration({ partitions: { today: TODAY } });
    expect(await migration({ partitions: { today: TODAY } })).toEqual(['user_logins is up to date']);

    expect(await keep(database, TODAY + 1, 30)).toMatchObject({
      changes: [{ kind: 'made' }],
    });
    await expect(migration()).rejects.toThrow('expected a plain table without retentionDays');
  });

  it('a view of an earlier version, from before it did, is still known as ours', async () => {
    await quote('off');
    await migration();
    await takeBackToFirstView(database.client, { marked: true });
    await quote('on');

    expect(await migration()).toEqual(['user_logins is up to date']);
    expect(await migration({ partitions: { today: TODAY } })).toContain(
      'created partition user_logins_history',
    );
  });
});
