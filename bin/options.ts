import { InvalidArgumentError, Option } from 'commander';
import { parseDatabaseUrl } from '../lambda/config.ts';

/** Options that several commands have; each call makes a new one, as commander wants it. */

const MAX_RECEIVE_COUNT = 1_000;

/** A parser of whole numbers. */
export function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max))
      throw new InvalidArgumentError(`Expected a whole number from ${min} to ${max}.`);
    return value;
  };
}

function url(text: string): string {
  if (!/^https?:$/.test(URL.parse(text)?.protocol ?? ''))
    throw new InvalidArgumentError('Expected an http or https URL.');
  return text;
}

function directory(text: string): string {
  if (text === '') throw new InvalidArgumentError('Expected the name of a directory.');
  return text;
}

export const queueUrl = () => new Option('--queue-url <url>', 'an existing queue').argParser(url);
export const endpointUrl = () =>
  new Option('--endpoint-url <url>', 'where that queue is, on an emulator').argParser(url);
export const databaseUrl = () =>
  new Option('--database-url <url>', 'an existing Postgres').argParser((text) =>
    parseDatabaseUrl(text, '--database-url'),
  );
export const dataDir = () =>
  new Option('--data-dir <dir>', 'where embedded database, queue and keyset are kept between runs').argParser(
    directory,
  );
export const json = () => new Option('--json', 'one JSON object on standard output').default(false);
export const maxReceiveCount = () =>
  new Option('--max-receive-count <n>', 'receives after which a message that fails is dead-lettered')
    .argParser(integer(1, MAX_RECEIVE_COUNT))
    .default(3);
export const keyset = () => new Option('--keyset <file>', 'the keyset, in a file');
export const keysetSecret = () =>
  new Option('--keyset-secret <arn>', 'the keyset, a secret of AWS Secrets Manager, by ARN or name');
export const privateKey = () =>
  new Option(
    '--private-key <file>',
    'opens what is sealed, may be given several times; its passphrase is taken from RECOVERY_KEY_PASSPHRASE',
  ).argParser((file, before: readonly string[] = []) => [...before, file]);
export const recoveryKmsKey = () =>
  new Option('--recovery-kms-key <arn>', 'opens what is sealed: an RSA key of AWS KMS');
/** Not parsed here: commander's complaint would quote it, and nobody knows what it holds. */
export const reason = () =>
  new Option(
    '--reason <text>',
    'why, for the audit trail, which keeps it in clear: name a ticket, never a person',
  ).makeOptionMandatory();
