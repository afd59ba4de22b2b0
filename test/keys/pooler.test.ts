import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { useCli } from '../support/cli.ts';
import { useDatabase } from '../support/database.ts';
import { useFunctions } from '../support/function.ts';
import { FIRST, LAYERED, useKeys } from '../support/key-proofs.ts';
import { type Pooler, startPooler } from '../support/pooler.ts';
import { loginEvent, record } from '../support/records.ts';
import { access, IP, trail } from '../support/recovery.ts';

const database = useDatabase();
const createCli = useCli();
const { environment } = useKeys(database, useFunctions());

let pooler: Pooler;
beforeAll(async () => {
  pooler = await startPooler(database.url);
});
afterAll(() => pooler.close());
beforeEach(async () => {
  expect(await environment(FIRST).invoke([record(loginEvent({ ip: IP }))])).toEqual([]);
});

/** Runs a command through the pooler, with a keyset in a file. */
async function run(...args: string[]) {
  const cli = createCli();
  const file = join(cli.directory, 'keyset.json');
  writeFileSync(file, LAYERED);
  const before = pooler.sent().length;
  const result = await cli.run([...args, ...access(pooler.url), '--keyset', file]);
  return { ...result, keyset: readFileSync(file, 'utf8'), sent: pooler.sent().slice(before) };
}

it.each([
  [['keys', 'add']],
  [['keys', 'promote', 'k1']],
  [['keys', 'retire', 'k1', '--dry-run']],
  [['keys', 'shred', 'k1', '--yes']],
  [['rekey', '--from', 'k1', '--to', 'k2']],
  [['rekey', '--from', 'k1', '--to', 'k2', '--dry-run']],
])('%j is refused behind a pooler, which would keep its locks and settings for others', async (command) => {
  const { exitCode, stdout, stderr, keyset, sent } = await run(...command);

  expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
  expect(stderr).toMatch(
    /^vizard: the database: expected a connection to the server itself[^\n]+, got one through a pooler[^\n]+; nothing was changed, give --database-url of the server\n$/,
  );
  expect(keyset).toBe(LAYERED);
  expect(await trail(database)).toEqual([]);
  expect(sent.match(/pg_backend_pid|\bSET\b|set_config|advisory/gi)).toEqual(['pg_backend_pid']);
});

it('whoever needs no session of their own looks up and erases behind a pooler', async () => {
  expect((await run('lookup', '--ip', IP, '--json')).json()).toMatchObject({ total: 1 });
  expect(await run('erase', '--ip', IP, '--yes')).toMatchObject({ exitCode: 0, stdout: 'erased 1 row\n' });
});
