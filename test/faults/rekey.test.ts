import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import type { Keyset } from '../../lambda/masking/keyset.ts';
import { useCli } from '../support/cli.ts';
import { useDatabase } from '../support/database.ts';
import { useFunctions } from '../support/function.ts';
import { KEYSETS, rekeyArguments, repeatsOf, Truth, tokensByKey } from '../support/rekey.ts';

const database = useDatabase();
const createFunction = useFunctions();
const createCli = useCli();

/** In which phase each run is killed, and how many milliseconds after it got there; one that ends before is not killed. */
const KILLS = ['aliases', 'rows', 'rows', 'rows', 'cleanup'].flatMap((phase) =>
  [0, 60, 140].map((delay) => ({ phase, delay })),
);
const SWITCH = 7;

async function phaseNow(): Promise<string> {
  const [record] = await database.rows<{ phase: string }>(
    'SELECT phase FROM user_logins_rekeys ORDER BY id DESC LIMIT 1',
  );
  return record?.phase ?? 'none';
}

it('a rekey that is killed again and again loses no equality, while functions write with the old key and then with the new', async () => {
  const truth = new Truth();
  let keyset: Keyset = KEYSETS.k1;
  const keysetSource = () => Promise.resolve(keyset);
  const { invoke } = createFunction({ databaseUrl: database.url, keysetSource });
  const cli = createCli();
  const command = [...rekeyArguments(cli, database), '--batch-size', '1', '--json'];
  await invoke(truth.records(6_000));

  const killedIn = new Set<string>();
  for (const [kill, { phase, delay }] of KILLS.entries()) {
    if (kill === SWITCH) keyset = KEYSETS.k2;
    const { child, result, shows } = cli.start(command);
    let isOver = false;
    const over = result.finally(() => {
      isOver = true;
    });
    const killed = shows('counting the rows under key').then(async () => {
      while (!isOver && (await phaseNow()) !== phase) await sleep(2);
      await sleep(delay);
      child.kill('SIGKILL');
    });
    while (!isOver) expect(await invoke(truth.records(40, kill % 3))).toEqual([]);
    await Promise.all([over, killed]);
    killedIn.add(await phaseNow());
    await truth.expectSameRows(database);
  }

  expect([...killedIn]).toContain('rows');
  const { exitCode, stderr, json } = await cli.run(command);
  expect(exitCode, stderr).toBe(0);
  expect(json()).toMatchObject({ outcome: { proof: { left: 0 } } });
  expect(Object.keys(await tokensByKey(database))).toEqual(['s1~k2']);
  await truth.expectEqualValuesToBeEqual(database);
  expect(await repeatsOf(database)).toEqual(truth.repeats());
}, 180_000);
