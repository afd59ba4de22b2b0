import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, it } from 'vitest';
import { useCli } from '../support/cli.ts';
import { useDatabase } from '../support/database.ts';
import { useQueues } from '../support/queue.ts';

const createCli = useCli();
const createQueue = useQueues();
const database = useDatabase({ empty: true });

/** The 100 messages of the take-home exercise, which are not ours to ship. */
const messages = resolve(process.env.TAKEHOME_MESSAGES ?? 'messages.jsonl');

it('there are messages to test with', () => {
  expect(existsSync(messages), 'set TAKEHOME_MESSAGES to the messages.jsonl of the exercise').toBe(true);
});

it('the real input is stored, but for the one message of another shape, also into the table of the exercise', async () => {
  await database.client.query(`
    CREATE TABLE user_logins (user_id varchar(128), device_type varchar(32), masked_ip varchar(256),
      masked_device_id varchar(256), locale varchar(32), app_version integer, create_date date)`);
  const cli = createCli();
  const args = ['run', '--input', messages, '--json', '--database-url', database.url];

  const first = await cli.run(args);
  const second = await cli.run(args);

  const expected = { received: 100, stored: 99, duplicates: 0, rejected: 1, rejections: [{ line: 13 }] };
  expect(first.json()).toMatchObject(expected);
  expect(second.json()).toMatchObject(expected);
  const [row] = await database.rows(`
    SELECT count(*)::int AS rows, count(*) FILTER (WHERE locale IS NULL)::int AS null_locales,
           count(DISTINCT masked_ip)::int AS addresses, count(DISTINCT masked_device_id)::int AS devices
    FROM user_logins`);
  expect(row).toEqual({ rows: 198, null_locales: 58, addresses: 99, devices: 99 });
});

it('the real input is drained from a queue as the exercise has it, without a dead-letter queue', async () => {
  const queue = await createQueue({ maxReceiveCount: undefined });
  await queue.send(readFileSync(messages, 'utf8').trimEnd().split('\n'));

  const { json } = await createCli().run([
    'run',
    '--json',
    '--queue-url',
    queue.queueUrl,
    '--endpoint-url',
    queue.endpointUrl,
  ]);

  expect(json()).toMatchObject({ received: 100, stored: 99, duplicates: 0, rejected: 1, deadLettered: 0 });
});
