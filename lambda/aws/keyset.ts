import type { KeysetAddress } from '../config.ts';
import { KeysetError, KeysetFailure, SecretFailure } from '../errors.ts';
import { type Keyset, type KeysetSource, parseKeyset } from '../masking/keyset.ts';
import { ENV } from '../names.ts';
import { openSecrets } from './secrets.ts';

/**
 * Where an invocation gets its keyset from. One that is a secret is fetched when it is older than the cache keeps it;
 * the same object comes back until the secret's text changes.
 *
 * @returns a source that throws KeysetFailure where there is no keyset to be had
 */
export function keysetSource(address: KeysetAddress): KeysetSource {
  if (address.kind === 'inline') return () => Promise.resolve(address.keyset);
  const { arn, region } = address;
  const secrets = openSecrets(region);
  const parse = parseOnce();
  return async ({ fresh = false } = {}) => {
    try {
      return parse(await secrets.read(arn, ENV.maskingKeysetSecretArn, { fresh }));
    } catch (error) {
      if (error instanceof SecretFailure) throw new KeysetFailure(error.message, error.code);
      if (error instanceof KeysetError) throw new KeysetFailure(error.message, 'malformed');
      throw error;
    }
  };
}

/** Parses each version of the text once. */
function parseOnce(): (text: string) => Keyset {
  let known: { readonly text: string; readonly keyset: Keyset } | undefined;
  return (text) => {
    if (known?.text !== text) known = { text, keyset: parseKeyset(text, ENV.maskingKeysetSecretArn) };
    return known.keyset;
  };
}
