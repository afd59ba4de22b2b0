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

const KILLS = 14;
const SWITCH = 7;
/** Milliseconds after it has begun: while it makes aliases, counts, rewrites, counts again. */
const delayOf = (kill: number) => kill * 45;

it('a rekey that is killed again and again loses no equality, while functions write with the old key and then with the new', async () => {
  const truth = new Truth();
  let keyset: Keyset = KEYSETS.k1;
  const keysetSource = () => Promise.resolve(keyset);
  const { invoke } = createFunction({ databaseUrl: database.url, keysetSource });
  const cli = createCli();
  const command = [...rekeyArguments(cli, database), '--batch-size', '1', '--json'];
  await invoke(truth.records(6_000));

  const phases = new Set<string>();
  for (let kill = 0; kill < KILLS; kill++) {
    if (kill === SWITCH) keyset = KEYSETS.k2;
    const { child, result, shows } = cli.start(command);
    const killed = shows('counting the rows under key')
      .then(() => sleep(delayOf(kill)))
      .then(() => child.kill('SIGKILL'));
    let isOver = false;
    const over = Promise.all([result, killed]).finally(() => {
      isOver = true;
    });
    while (!isOver) expect(await invoke(truth.records(40, kill % 3))).toEqual([]);
    await over;
    const [record] = await database.rows<{ phase: string }>('SELECT phase FROM user_logins_rekeys');
    phases.add(record?.phase ?? 'none');
    await truth.expectSameRows(database);
  }

  expect([...phases], 'killed in several phases').toContain('rows');
  const { exitCode, stderr, json } = await cli.run(command);
  expect(exitCode, stderr).toBe(0);
  expect(json()).toMatchObject({ outcome: { proof: { left: 0 } } });
  expect(Object.keys(await tokensByKey(database))).toEqual(['s1~k2']);
  await truth.expectEqualValuesToBeEqual(database);
  expect(await repeatsOf(database)).toEqual(truth.repeats());
});
