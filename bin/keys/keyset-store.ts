import { existsSync } from 'node:fs';
import { VizardError } from '../../lambda/errors.ts';
import { type Keyset, parseKeyset } from '../../lambda/masking/keyset.ts';
import { ENV } from '../../lambda/names.ts';
import { keptKeyset } from '../local/keyset-file.ts';
import { fileStore } from './file-store.ts';
import { secretStore } from './secret-store.ts';
import type { TextStore } from './text-store.ts';

/** Where a keyset is, and how it is read and changed there. */
export interface KeysetStore extends TextStore {
  /** @throws VizardError where there is none that can be used */
  read(): Promise<Keyset>;
}

/** How a command is told which keyset is meant. */
export interface KeysetOptions {
  readonly keyset?: string | undefined;
  readonly keysetSecret?: string | undefined;
  readonly dataDir?: string | undefined;
}

/**
 * The keyset that the options name, a file or a secret; else the one of the environment, secret or inline; else the one
 * kept with the data. Nothing is read yet.
 *
 * @throws VizardError where two are named
 */
export function findKeyset({ keyset, keysetSecret, dataDir }: KeysetOptions): KeysetStore {
  exclude('--keyset', keyset, '--keyset-secret', keysetSecret);
  if (keyset !== undefined) return withRead(fileStore(keyset));
  if (keysetSecret !== undefined) return withRead(secretStore(keysetSecret, '--keyset-secret'));
  const { [ENV.maskingKeysetSecretArn]: secret, [ENV.maskingKeyset]: inline } = process.env;
  exclude(ENV.maskingKeysetSecretArn, secret, ENV.maskingKeyset, inline);
  if (secret) return withRead(secretStore(secret, ENV.maskingKeysetSecretArn));
  return withRead(inline ? inlineStore(inline) : keptStore(dataDir));
}

/** What runs here without a directory for its data may have a keyset that it never wrote anywhere. */
function keptStore(dataDir: string | undefined): TextStore {
  const file = keptKeyset(dataDir);
  const store = fileStore(file);
  const readText = async () => {
    if (dataDir === undefined && !existsSync(file)) await forbidThrownAway();
    return store.readText();
  };
  return { ...store, readText };
}

async function forbidThrownAway(): Promise<void> {
  // The embedded servers that are imported with it take long to load.
  const { readInstance } = await import('../local/instance.ts');
  if (readInstance() === undefined) return;
  throw new VizardError(
    'expected a keyset, got an instance that throws its own away when it ends; start it with --data-dir and name that, or name a keyset with --keyset',
  );
}

function exclude(
  name: string,
  value: string | undefined,
  other: string,
  otherValue: string | undefined,
): void {
  if (value && otherValue)
    throw new VizardError(`${name} and ${other} exclude each other: each names a keyset; give one of them`);
}

function withRead(store: TextStore): KeysetStore {
  return { ...store, read: async () => parseKeyset(await store.readText(), store.name) };
}

function inlineStore(text: string): TextStore {
  const readOnly = () =>
    Promise.reject(
      new VizardError(
        `${ENV.maskingKeyset}: expected a keyset that can be changed, got one in the environment; name a file with --keyset, or a secret with --keyset-secret`,
      ),
    );
  return {
    name: ENV.maskingKeyset,
    kind: 'inline',
    readText: () => Promise.resolve(text),
    write: readOnly,
    forgetPrevious: readOnly,
  };
}
