import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { VizardError } from '../../lambda/errors.ts';
import { type Keyset, parseKeyset } from '../../lambda/masking/keyset.ts';
import { ENV } from '../../lambda/names.ts';

/** Where the keyset is kept with the data; of an existing database, when nobody says where, below the working directory. */
export function keptKeyset(dataDir = '.vizard'): string {
  return join(dataDir, 'keyset.json');
}

export interface KeysetOptions {
  readonly keyset?: string | undefined;
  readonly dataDir?: string | undefined;
  readonly databaseUrl?: string | undefined;
}

/**
 * The keyset to mask with at the moment: the file that was named, else MASKING_KEYSET, else the one kept with the data.
 * Only a database that is thrown away afterwards gets a keyset that is thrown away too. A file may say something else by
 * the next call: the same object comes back as long as it does not.
 *
 * @param onCreated told the file when one had to be made
 * @throws VizardError, as the function that is returned does
 */
export function openKeyset(options: KeysetOptions, onCreated: (file: string) => void): () => Keyset {
  if (options.keyset !== undefined) return fromFile(options.keyset);
  const inline = process.env[ENV.maskingKeyset];
  if (inline) return always(parseKeyset(inline, ENV.maskingKeyset));
  if (options.dataDir === undefined && options.databaseUrl === undefined)
    return always(parseKeyset(newKeyset()));
  const file = keptKeyset(options.dataDir);
  if (!existsSync(file)) {
    try {
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, newKeyset(), { mode: 0o600 });
    } catch (error) {
      throw new VizardError(
        `keyset file ${file} cannot be written (${(error as NodeJS.ErrnoException).code})`,
      );
    }
    onCreated(file);
  }
  return fromFile(file);
}

function always(keyset: Keyset): () => Keyset {
  return () => keyset;
}

function fromFile(file: string): () => Keyset {
  const parse = (text: string) => ({ text, keyset: parseKeyset(text, `keyset file ${file}`) });
  let known = parse(readText(file));
  return () => {
    const text = readText(file);
    if (known.text !== text) known = parse(text);
    return known.keyset;
  };
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new VizardError(`keyset file ${file} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

function newKeyset(): string {
  const material = randomBytes(48).toString('base64url');
  return `${JSON.stringify({ primary: 'k1', k1: material, 'k1.added': new Date().toISOString() })}\n`;
}
