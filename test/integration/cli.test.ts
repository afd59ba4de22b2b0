import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseKeyset } from '../../lambda/masking/keyset.ts';
import { withClient } from '../../lambda/postgres/connection.ts';
import { inputFile, useCli } from '../support/cli.ts';
import { useDatabase } from '../support/database.ts';
import { useQueues } from '../support/queue.ts';
import { loginEvent } from '../support/records.ts';

const createCli = useCli();
const createQueue = useQueues();

describe('vizard run', () => {
  it('runs the sample on servers of its own and says what came of it, in one JSON object', async () => {
    const { exitCode, json, stderr } = await createCli().run(['run', '--json']);

    expect(exitCode).toBe(0);
    expect(json()).toMatchObject({
      received: 153,
      stored: 139,
      duplicates: 0,
      rejected: 14,
      deadLettered: 14,
    });
    const { rejections, seconds } = json() as {
      rejections: { line: number; field: string }[];
      seconds: number;
    };
    expect(seconds).toBeGreaterThan(0);
    expect(new Set(rejections.map(({ field }) => field))).toEqual(
      new Set(['body', 'user_id', 'device_type', 'ip', 'device_id', 'app_version']),
    );
    expect(rejections.every(({ line }) => line > 0)).toBe(true);
    expect(stderr).toContain('ingested 153/153');
  });

  it('shows a person the counts, the rejected messages, the first rows and what repeats', async () => {
    const { exitCode, stdout } = await createCli().run(['run']);

    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/received 153 · stored 139 · duplicates 0 · rejected 14 · dead-lettered 14/);
    expect(stdout).toMatch(/line +6 +[0-9a-f-]{36} +device_id: empty/);
    expect(stdout).toContain('user_logins: 5 of 139 rows');
    expect(stdout).toMatch(/user_login_repeats: 15 of \d+ masked values that repeat/);
    expect(stdout).toMatch(/│ ip +│ s1~k1~/);
  });

  it('takes a kept queue with another number of receives than before', async () => {
    const cli = createCli();
    const input = inputFile(cli, 3);
    const again = ['run', '--json', '--input', input, '--data-dir', join(cli.directory, 'data')];

    await cli.run(again);
    const { exitCode, stderr } = await cli.run([...again, '--max-receive-count', '7']);
    const list = await cli.run(['dead-letters', 'list', '--json', '--data-dir', join(cli.directory, 'data')]);

    expect({ exitCode, stderr }).toMatchObject({
      exitCode: 0,
      stderr: expect.not.stringContaining('vizard:'),
    });
    // Those of the queue, and as many of the dead-letter queue for both.
    const { messages } = list.json() as { messages: { receives: number }[] };
    const [three = 0, seven = 0] = messages.map(({ receives }) => receives).toSorted();
    expect(messages).toHaveLength(2);
    expect(seven - three).toBe(4);
  });

  it('keeps database, queue and keyset in a directory, and stores further rows the next time', async () => {
    const cli = createCli();
    const input = inputFile(cli, 20);
    const dataDir = join(cli.directory, 'data');

    const first = await cli.run(['run', '--json', '--input', input, '--data-dir', dataDir]);
    const keyset = readFileSync(join(dataDir, 'keyset.json'), 'utf8');
    expect(Date.now() - Date.parse(parseKeyset(keyset).facts('k1').added!)).toBeLessThan(600_000);
    const second = await cli.run(['run', '--json', '--input', input, '--data-dir', dataDir]);
    const sent = await cli.run(['send', input, '--data-dir', dataDir, '--json']);
    const third = await cli.run(['run', '--json', '--input', '/dev/null', '--data-dir', dataDir]);
    const shown = await cli.run(['show', '--json', '--limit', '2', '--data-dir', dataDir]);

    expect(first.json()).toMatchObject({ received: 20, stored: 19, rejected: 1, rejections: [{ line: 2 }] });
    expect(second.json()).toMatchObject({ received: 20, stored: 19, rejected: 1 });
    expect(sent.json()).toEqual({ sent: 20, refused: [] });
    expect(third.json()).toMatchObject({
      received: 20,
      stored: 19,
      rejections: [{ line: null, field: 'user_id' }],
    });
    const { total, repeating, repeats } = shown.json() as {
      total: number;
      repeating: number;
      repeats: object[];
    };
    expect({ total, repeating }).toEqual({ total: 57, repeating: 20 });
    expect(repeats[0]).toMatchObject({ kind: 'ip', logins: 57 });
    expect(readFileSync(join(dataDir, 'keyset.json'), 'utf8')).toBe(keyset);
    expect(statSync(join(dataDir, 'keyset.json')).mode & 0o077).toBe(0);
    expect(existsSync(join(dataDir, 'instance.json'))).toBe(false);
  });

  it('reads standard input, emoji and Windows line ends included', async () => {
    const lines = [loginEvent({ user_id: '🚀' }), 'x', loginEvent()].map((body) => JSON.stringify(body));

    const { json } = await createCli().run(['run', '--json', '--input', '-'], {
      input: `${lines.join('\r\n\r\n')}\r\n`,
    });

    expect(json()).toMatchObject({
      received: 3,
      stored: 2,
      rejections: [{ line: 3, field: 'body', code: 'type' }],
    });
  });

  it('says which lines are no text that a queue carries, and stores the others as they are', async () => {
    const cli = createCli();
    const good = JSON.stringify(loginEvent({ user_id: 'a\u2028b' }));
    const file = join(cli.directory, 'odd.jsonl');
    const broken = Buffer.from(good.replace('RU', '\xff\xfe'), 'latin1');
    const lines = [`\uFEFF${good}`, JSON.stringify({ padding: 'x'.repeat(2 ** 20) }), broken, '\u0001', good];
    writeFileSync(file, Buffer.concat(lines.flatMap((line) => [Buffer.from(line), Buffer.from('\n')])));

    const { json } = await cli.run(['run', '--json', '--input', file]);

    expect(json()).toMatchObject({
      received: 5,
      stored: 2,
      rejections: [
        { line: 2, messageId: null, code: 'too_long' },
        { line: 3, messageId: null, code: 'utf8' },
        { line: 4, messageId: null, code: 'InvalidMessageContents' },
      ],
    });
  });

  it('masks irreversibly where it is asked to', async () => {
    const cli = createCli();
    const dataDir = join(cli.directory, 'data');

    await cli.run([
      'run',
      '--json',
      '--masking',
      'irreversible',
      '--data-dir',
      dataDir,
      '--input',
      inputFile(cli, 3),
    ]);

    const { stdout } = await cli.run(['show', '--json', '--data-dir', dataDir]);
    expect(stdout).toContain('"masked_ip":"h1~k1~');
  });
});

describe('vizard run on what is there already', () => {
  const database = useDatabase({ empty: true });

  it('drains a queue into a table of seven columns with rows in it', async () => {
    await database.client.query(`
      CREATE TABLE user_logins (user_id varchar(128), device_type varchar(32), masked_ip varchar(256),
        masked_device_id varchar(256), locale varchar(32), app_version integer, create_date date)`);
    await database.client.query(
      `INSERT INTO user_logins VALUES ('u', 'ios', 'a', 'b', NULL, 1, '2023-01-01')`,
    );
    const queue = await createQueue({ maxReceiveCount: undefined });
    await queue.send([...Array.from({ length: 30 }, () => JSON.stringify(loginEvent())), '{"foo": 1}']);
    const cli = createCli();
    const run = () =>
      cli.run([
        'run',
        '--json',
        '--queue-url',
        queue.queueUrl,
        '--endpoint-url',
        queue.endpointUrl,
        '--database-url',
        database.url,
      ]);

    const { exitCode, json, stderr } = await run();
    const again = await run();

    expect(exitCode).toBe(0);
    expect(json()).toMatchObject({
      received: 31,
      stored: 30,
      rejected: 1,
      deadLettered: 0,
      rejections: [{ line: null }],
    });
    expect(again.json()).toMatchObject({ received: 0, stored: 0 });
    expect(stderr).toContain('new keyset in .vizard/keyset.json');
    const [row] = await database.rows(
      'SELECT count(*)::int, count(event_id)::int AS events FROM user_logins',
    );
    expect(row).toEqual({ count: 31, events: 30 });
    const shown = await cli.run(['show', '--database-url', database.url, '--limit', '1']);
    expect(shown.stdout).toContain('user_logins: 1 of 31 rows');
  });

  it('says which table it cannot use', async () => {
    await withClient({ kind: 'url', url: database.url }, (client) =>
      client.query('DROP TABLE IF EXISTS user_logins CASCADE'),
    );
    await database.client.query('CREATE TABLE user_logins (masked_ip varchar(32))');

    const { exitCode, stderr } = await createCli().run(['run', '--database-url', database.url]);

    expect(exitCode).toBe(2);
    expect(stderr).toContain('vizard: table user_logins: column masked_ip expected room for 256 characters');
  });
});
