import { describe, expect, it } from 'vitest';
import { type TestDatabase, useDatabase } from '../support/database.ts';
import { runEntryPoint } from '../support/lambda-process.ts';
import { KEYSET_JSON, loginEvent, record } from '../support/records.ts';
import { createKeyPair } from '../support/recovery-key.ts';

const database = useDatabase({ empty: true });
const { publicPem, privateKey } = createKeyPair();
const env = {
  DATABASE_URL: database.url,
  MASKING_KEYSET: KEYSET_JSON,
  MASKING: 'irreversible',
  RECOVERY_PUBLIC_KEY: publicPem,
};
const event = () => ({
  Records: [
    record(loginEvent({ ip: '2001:db8:ca7a::1', device_id: 'CANARY-DEVICE', user_id: 'CANARY-USER' })),
  ],
});

async function vaultOf({ rows }: TestDatabase): Promise<number> {
  const [found] = await rows<{ values: number }>('SELECT count(*)::int AS values FROM user_logins_vault');
  return found!.values;
}

describe('in processes of their own, as Lambda has them', () => {
  it('the migration makes the vault, the probe leaves it empty, the handler fills it, and nobody says a value', async () => {
    const migrated = await runEntryPoint('migrate', env, [{}]);
    const probed = await runEntryPoint('probe', env, [{}]);
    expect(await vaultOf(database)).toBe(0);
    const handled = await runEntryPoint('handler', env, [event(), event()]);

    expect(handled.lines.filter((line) => 'response' in line)).toEqual(
      Array(2).fill({ response: { batchItemFailures: [] } }),
    );
    expect(await database.count()).toBe(2);
    expect(await vaultOf(database)).toBe(2);
    expect(migrated.output).toContain('created table user_logins_vault');
    const output = [migrated, probed, handled].map((run) => run.output).join('');
    expect(/CANARY|ca7a/i.test(output), 'a planted value was written').toBe(false);
    expect(output).not.toMatch(/DeprecationWarning|errorType/);
  });

  it.each([
    ['tokens that can be recovered', { MASKING: 'recoverable' }, 'MASKING: expected irreversible'],
    [
      'the private half',
      { RECOVERY_PUBLIC_KEY: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() },
      'RECOVERY_PUBLIC_KEY: expected PEM of PUBLIC KEY, got PRIVATE KEY',
    ],
  ])('the handler does not start with %s', async (_name, changes, complaint) => {
    const { output } = await runEntryPoint('handler', { ...env, ...changes }, [event()]);

    expect(output).toContain(complaint);
    expect(output).not.toContain('MII');
  });
});
