import { generateKeyPair } from 'node:crypto';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { VizardError } from '../../../lambda/errors.ts';
import { parseRecoveryKey } from '../../../lambda/masking/sealing.ts';
import { PASSPHRASE } from '../../keys/private-keys.ts';

export interface NewKeyOptions {
  readonly out?: string;
  readonly private?: string;
  readonly public?: string;
  readonly json: boolean;
}

const MODULUS = 3_072;
const generate = promisify(generateKeyPair);

/**
 * `vizard recovery-key new`: an RSA key pair, PKCS#8 and SubjectPublicKeyInfo as PEM.
 *
 * @returns the exit code
 */
export async function newRecoveryKey(options: NewKeyOptions): Promise<number> {
  const files = filesOf(options);
  for (const file of Object.values(files)) if (existsSync(file)) throw inTheWay(file);
  const passphrase = process.env[PASSPHRASE];
  const { privateKey, publicKey } = await generate('rsa', {
    modulusLength: MODULUS,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: {
      type: 'pkcs8',
      format: 'pem',
      ...(passphrase && { cipher: 'aes-256-cbc', passphrase }),
    },
  });
  write(files.private, privateKey, 0o600);
  try {
    write(files.public, publicKey, 0o644);
  } catch (error) {
    // Half of a pair is none.
    rmSync(files.private, { force: true });
    throw error;
  }
  const { fingerprint } = parseRecoveryKey(publicKey, 'the new key');
  process.stderr.write(
    `give the function ${files.public}; keep ${files.private}${passphrase ? ' and its passphrase' : ', which has no passphrase,'} ` +
      'away from it and from the database, with a copy elsewhere: without it nobody opens the vault\n',
  );
  const output = { fingerprint, privateKey: files.private, publicKey: files.public };
  process.stdout.write(`${options.json ? JSON.stringify(output) : fingerprint}\n`);
  return 0;
}

function filesOf(options: NewKeyOptions): { readonly private: string; readonly public: string } {
  const { out, private: privateFile, public: publicFile } = options;
  const named = privateFile !== undefined && publicFile !== undefined && privateFile !== publicFile;
  if (out !== undefined && privateFile === undefined && publicFile === undefined)
    return { private: join(out, 'recovery-private.pem'), public: join(out, 'recovery-public.pem') };
  if (out === undefined && named) return { private: privateFile, public: publicFile };
  throw new VizardError('expected --out, or --private and --public with a file each; name them');
}

function write(file: string, text: string, mode: number): void {
  try {
    // Not over a file that came meanwhile.
    writeFileSync(file, text, { mode, flag: 'wx' });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') throw inTheWay(file);
    throw new VizardError(`${file} cannot be written (${code})`);
  }
}

function inTheWay(file: string): VizardError {
  return new VizardError(
    `${file}: expected no such file, got one; a key is never written over, name another`,
  );
}
