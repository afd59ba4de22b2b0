import { createPublicKey } from 'node:crypto';
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { readConfig, readRecoveryKey } from '../../lambda/config.ts';
import { ConfigError } from '../../lambda/errors.ts';
import { KEYSET_JSON } from '../support/records.ts';
import { createKeyPair } from '../support/recovery-key.ts';

const { publicPem, recoveryKey, privateKey } = createKeyPair();
const base64 = createPublicKey(publicPem).export({ type: 'spki', format: 'der' }).toString('base64');
const GOOD = { DATABASE_URL: 'postgres://u:p@db.example/logins', MASKING_KEYSET: KEYSET_JSON };

describe('the configuration of a function that seals', () => {
  it.each([
    ['PEM', publicPem],
    ['base64 of DER', base64],
  ])('has the public key out of %s', (_name, RECOVERY_PUBLIC_KEY) => {
    const config = readConfig({ ...GOOD, MASKING: 'irreversible', RECOVERY_PUBLIC_KEY });

    expect(config.recoveryKey?.fingerprint).toBe(recoveryKey.fingerprint);
    expect(config.masking).toBe('irreversible');
  });

  it.each([{}, { RECOVERY_PUBLIC_KEY: '' }])('has none where it is not given: %o', (env) => {
    expect(readConfig({ ...GOOD, ...env }).recoveryKey).toBeUndefined();
    expect(readRecoveryKey(env)).toBeUndefined();
  });

  it.each([{}, { MASKING: 'recoverable' }])(
    'is refused where the function could open tokens itself: %o',
    (env) => {
      const read = () => readConfig({ ...GOOD, ...env, RECOVERY_PUBLIC_KEY: base64 });

      expect(read).toThrow(ConfigError);
      expect(read).toThrow(
        /^MASKING: expected irreversible because RECOVERY_PUBLIC_KEY is set, got recoverable; [^\n]+$/,
      );
    },
  );

  it('is refused with a private key, which it does not show', () => {
    const secret = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    const read = () => readConfig({ ...GOOD, MASKING: 'irreversible', RECOVERY_PUBLIC_KEY: secret });

    expect(read).toThrow(/^RECOVERY_PUBLIC_KEY: [^\n]*got PRIVATE KEY[^\n]*$/);
    expect(read).not.toThrow('MII');
  });

  it('shows no content key to whoever prints it', () => {
    const contentKey = recoveryKey.createContentKey();

    expect(Object.keys(contentKey).toSorted()).toEqual(['destroy', 'seal', 'sealedKey']);
    expect(inspect(recoveryKey, { depth: 9, showHidden: true })).not.toMatch(/BEGIN|MII/);
  });
});
