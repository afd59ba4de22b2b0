import type { Command } from 'commander';
import { json } from '../../options.ts';
import type { NewKeyOptions } from './new.ts';

/** Adds `recovery-key` with its command. @param finish takes the exit code */
export function addRecoveryKey(vizard: Command, finish: (exitCode: number) => void): void {
  vizard
    .command('recovery-key')
    .description('The key pair of a vault: the function seals with the public half, the private one opens.')
    .command('new')
    .description(
      'Make a key pair, in two files that are not there yet. RECOVERY_KEY_PASSPHRASE, where it is set, encrypts the private one.',
    )
    .option('--out <dir>', 'writes recovery-private.pem and recovery-public.pem there')
    .option('--private <file>', 'writes the private key there')
    .option('--public <file>', 'writes the public key there')
    .addOption(json())
    .action(async (options: NewKeyOptions) => {
      const { newRecoveryKey } = await import('./new.ts');
      finish(await newRecoveryKey(options));
    });
}
