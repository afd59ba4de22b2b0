import { describe, expect, it } from 'vitest';
import { useDatabase } from '../support/database.ts';
import { useFunctions } from '../support/function.ts';
import { LAYERED, OTHER_MATERIAL, ROTATED, SCHEMES, useKeys, WRONG_LAYERS } from '../support/key-proofs.ts';
import { records } from '../support/records.ts';
import { useStatements } from '../support/statements.ts';

const database = useDatabase();
const { environment, claims } = useKeys(database, useFunctions());
const watchStatements = useStatements();

describe('an environment whose keys are layered otherwise than the tokens in the table', () => {
  const IRREVERSIBLE = SCHEMES.slice(1);
  const WITHOUT_LAYER = ROTATED;
  const OTHER_BELOW = JSON.stringify({ ...JSON.parse(LAYERED), k1: OTHER_MATERIAL });
  const OTHER_LAYER = JSON.stringify({
    ...JSON.parse(LAYERED),
    k3: OTHER_MATERIAL,
    'k2.over': 'k3',
  });

  it.each(
    [WITHOUT_LAYER, OTHER_BELOW, OTHER_LAYER].flatMap((keyset) =>
      IRREVERSIBLE.map(({ name, options }) => ({ keyset, name, options })),
    ),
  )('writes nothing and names the key, $name', async ({ keyset, options }) => {
    expect(await environment(LAYERED, options).invoke(records(3))).toEqual([]);
    const before = await claims();
    const { invoke, failures } = environment(keyset, options);

    await expect(invoke(records(3))).rejects.toThrow(WRONG_LAYERS);

    expect(failures).toMatchObject([{ name: 'KeysetFailure', code: 'wrong_layers' }]);
    expect(await database.count()).toBe(3);
    expect(await claims()).toEqual(before);
    expect(await environment(LAYERED, options).invoke(records(3))).toEqual([]);
  });

  it('stores where no column is irreversible, because nothing is layered there', async () => {
    await environment(LAYERED).invoke(records(3));

    expect(await environment(WITHOUT_LAYER).invoke(records(3))).toEqual([]);

    expect((await claims()).map(({ kid }) => kid)).toEqual(['k2']);
  });

  it('is not known by a table of an older version, which learns it without a word', async () => {
    const options = { masking: 'irreversible' } as const;
    await environment(LAYERED, options).invoke(records(3));
    await database.client.query(`DELETE FROM user_logins_keys WHERE kid LIKE 'h1~%'`);
    const { invoke, log } = environment(LAYERED, options);

    expect(await invoke(records(3))).toEqual([]);

    expect(log.filter(({ level }) => level !== 'info')).toEqual([]);
    expect((await claims()).map(({ kid }) => kid)).toEqual(['h1~k2', 'k2']);
    await expect(environment(WITHOUT_LAYER, options).invoke(records(3))).rejects.toThrow(WRONG_LAYERS);
  });

  it('costs no further message, at the first write or later', async () => {
    const options = { masking: 'irreversible' } as const;
    await environment(LAYERED, options).invoke(records(3));
    const { invoke } = environment(LAYERED, options);
    const statements = watchStatements();

    await invoke(records(3));
    await invoke(records(3));

    expect(statements).toEqual([
      expect.stringMatching(/^BEGIN; (?!.*COPY).*; SELECT .* FROM user_logins_keys; ROLLBACK$/),
      expect.stringMatching(/^BEGIN; .*; COPY user_logins .*; COMMIT$/),
      expect.stringMatching(/^BEGIN; .*; COPY user_logins .*; COMMIT$/),
    ]);
  });
});
