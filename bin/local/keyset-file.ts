import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { VizardError } from '../../lambda/errors.ts';
import { type Keyset, parseKeyset } from '../../lambda/masking/keyset.ts';
import { ENV } from '../../lambda/names.ts';

/** Where the keyset of an existing database is kept when nobody says where: below the working directory. */
const DEFAULT_FILE = join('.vizard', 'keyset.json');

export interface KeysetOptions {
  readonly keyset?: string | undefined;
  readonly dataDir?: string | undefined;
  readonly databaseUrl?: string | undefined;
}

/**
 * The keyset to mask with: the file that was named, else MASKING_KEYSET, else the one kept with the data. Only a
 * database that is thrown away afterwards gets a keyset that is thrown away too.
 *
 * @param onCreated told the file when one had to be made
 * @throws VizardError
 */
export function resolveKeyset(options: KeysetOptions, onCreated: (file: string) => void): Keyset {
  if (options.keyset !== undefined) return readKeyset(options.keyset);
  const inline = process.env[ENV.maskingKeyset];
  if (inline) return parseKeyset(inline, ENV.maskingKeyset);
  const file = keptFile(options);
  if (file === undefined) return parseKeyset(newKeyset());
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
  return readKeyset(file);
}

function keptFile({ dataDir, databaseUrl }: KeysetOptions): string | undefined {
  if (dataDir !== undefined) return join(dataDir, 'keyset.json');
  return databaseUrl === undefined ? undefined : DEFAULT_FILE;
}

function readKeyset(file: string): Keyset {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new VizardError(`keyset file ${file} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  return parseKeyset(text, `keyset file ${file}`);
}

function newKeyset(): string {
  return `${JSON.stringify({ primary: 'k1', k1: randomBytes(48).toString('base64url') })}\n`;
}
