import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { MaskedColumn } from '../../lambda/events/declaration.ts';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { parseKeyset } from '../../lambda/masking/keyset.ts';
import { unmask } from '../../lambda/masking/masker.ts';
import { retokener } from '../../lambda/masking/retoken.ts';
import { secretArn, useAwsServer } from '../support/aws-server.ts';
import { useCli } from '../support/cli.ts';
import { useDatabase } from '../support/database.ts';
import { expectNoMaterial, REASON } from '../support/key-commands.ts';
import { FIRST } from '../support/key-proofs.ts';
import { type LambdaProcess, startEntryPoint } from '../support/lambda-process.ts';
import { record, records } from '../support/records.ts';

const database = useDatabase();
const aws = useAwsServer();
const createCli = useCli();

const ARN = secretArn('keyset');
const CLOCKED = new URL('../support/clocked-handler.ts', import.meta.url);
const [, , addressColumn, deviceColumn] = loginEvents.columns;

let running: LambdaProcess | undefined;
afterEach(() => running?.signal('SIGKILL'));
beforeEach(async () => {
  aws.secrets.set(ARN, FIRST);
  await database.client.query('TRUNCATE user_logins_aliases');
});

/** The function as it is deployed, in a process of its own that goes on through all of a test. */
function startFunction(masking: string) {
  const env = {
    ...aws.env(),
    DATABASE_URL: database.url,
    MASKING_KEYSET_SECRET_ARN: ARN,
    MASKING: masking,
  };
  running = startEntryPoint(CLOCKED, env, 10_000);
  const { invoke, signal, end } = running;
  return {
    invoke: (batch: readonly unknown[]) => invoke({ Records: batch }),
    tenMinutesLater: () => signal('SIGCONT'),
    end,
  };
}

async function keys(...args: string[]): Promise<void> {
  const options = ['--reason', REASON, '--keyset-secret', ARN, '--database-url', database.url];
  const result = await createCli().run(['keys', ...args, ...options], { env: aws.env() });
  expect(result).toMatchObject({ exitCode: 0 });
  expectNoMaterial(result, [FIRST, secret()]);
}

const secret = () => aws.secrets.get(ARN) as string;
const STORED = { response: { batchItemFailures: [] } };

interface Row extends Record<string, string> {
  readonly masked_ip: string;
  readonly masked_device_id: string;
}
const rows = () =>
  database.rows<Row>('SELECT masked_ip, masked_device_id FROM user_logins ORDER BY event_id');
const rowsOf = async (kid: string) =>
  (await rows()).filter(({ masked_ip }) => masked_ip.split('~')[1] === kid);

/** Bytes as text, whichever masked column they are of. */
function opened(column: MaskedColumn, tokens: readonly string[]): (string | undefined)[] {
  return unmask(parseKeyset(secret()), column, tokens).map(
    (value) => value && Buffer.from(value).toString('hex'),
  );
}

describe.each(['recoverable', 'irreversible'])(
  'a function that runs while its key is rotated, %s',
  (masking) => {
    it('goes over to the new key when its cache is five minutes old, and stores every event once', async () => {
      const { invoke, tenMinutesLater, end } = startFunction(masking);
      const delivered = records(5);
      expect(await invoke(delivered)).toEqual(STORED);

      await keys('add');
      await keys('promote', 'k2', '--now');
      // It still has the keyset as it was.
      expect(await invoke(records(5))).toEqual(STORED);
      expect(await rowsOf('k1')).toHaveLength(10);
      tenMinutesLater();
      await vi.waitFor(async () => {
        expect(await invoke([record()])).toEqual(STORED);
        expect(await rowsOf('k2')).not.toHaveLength(0);
      }, 10_000);
      const before = await database.count();
      // The same messages, and the same values in new ones.
      const again = delivered.map((message) => ({
        ...message,
        attributes: { ...message.attributes, ApproximateReceiveCount: '2' },
      }));
      expect(await invoke(again)).toEqual(STORED);
      expect(await database.count()).toBe(before);
      expect(await invoke(records(5))).toEqual(STORED);

      const joined = await database.rows<{ rows: number }>(
        `SELECT count(*)::int AS rows FROM user_logins_current
       GROUP BY masked_device_id HAVING count(DISTINCT event_id) = 3`,
      );
      expect(joined).toHaveLength(5);
      const { output } = await end();
      expectNoMaterial({ stdout: output, stderr: '' }, [FIRST, secret()]);
      expect(output).not.toMatch(/"level":"(WARN|ERROR)"/);
    });
  },
);

describe('tokens of the time before a rotation', () => {
  it('stay recoverable beside the new ones', async () => {
    const { invoke, end } = startFunction('recoverable');
    await invoke(records(3));
    const before = await rows();
    const values = opened(
      addressColumn,
      before.map(({ masked_ip }) => masked_ip),
    );
    await keys('add');
    await keys('promote', 'k2', '--now');
    await end();
    const next = startFunction('recoverable');

    await next.invoke(records(3));

    await next.end();
    expect(values).not.toContain(undefined);
    expect(
      opened(
        addressColumn,
        before.map(({ masked_ip }) => masked_ip),
      ),
    ).toEqual(values);
    const after = (await rowsOf('k2')).map(({ masked_ip }) => masked_ip);
    expect(opened(addressColumn, after).toSorted()).toEqual(values.toSorted());
  });

  it('are what new irreversible ones are layered over', async () => {
    const { invoke, end } = startFunction('irreversible');
    await invoke(records(3));
    const before = (await rows()).map(({ masked_device_id }) => masked_device_id);
    await keys('add');
    await keys('promote', 'k2', '--now');
    await end();
    const next = startFunction('irreversible');

    await next.invoke(records(3));

    await next.end();
    const rewrite = retokener(parseKeyset(secret()), deviceColumn, { from: 'k1', to: 'k2' });
    const after = (await rowsOf('k2')).map(({ masked_device_id }) => masked_device_id);
    expect(after.toSorted()).toEqual(rewrite(before).toSorted());
    expect(await database.rows(`SELECT kid FROM user_logins_keys ORDER BY kid`)).toEqual(
      ['h1~k1', 'h1~k2', 'k1', 'k2'].map((kid) => ({ kid })),
    );
  });

  it('end with the layer: a function that lost it writes nothing', async () => {
    const { invoke, end } = startFunction('irreversible');
    await invoke(records(3));
    await keys('add');
    await keys('promote', 'k2', '--now');
    await end();
    const next = startFunction('irreversible');
    await next.invoke(records(3));
    await next.end();
    const { 'k2.over': _, ...lost } = JSON.parse(secret()) as Record<string, string>;
    aws.secrets.set(ARN, JSON.stringify(lost));
    const wrong = startFunction('irreversible');

    const answer = await wrong.invoke(records(3));

    const { output } = await wrong.end();
    expect(answer).toMatchObject({ errorType: 'KeysetFailure', code: 'wrong_layers' });
    expect(answer?.errorMessage).toContain('key "k2"');
    expect(await database.count()).toBe(6);
    expectNoMaterial({ stdout: output, stderr: '' }, [secret()]);
  });
});
