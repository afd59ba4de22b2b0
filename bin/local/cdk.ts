import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { VizardError } from '../../lambda/errors.ts';

/** An AWS emulator that the CDK's command line deploys to. */
export interface Emulator {
  /** Where AWS is, for every service: http://localhost:4566 */
  readonly endpointUrl: string;
}

/** The stack's outputs, by their names in lib/vizard-stack.ts. */
export interface Outputs {
  readonly QueueUrl: string;
  readonly DeadLetterQueueUrl: string;
  readonly KeysetSecretArn: string;
  readonly FunctionName: string;
  readonly MappingId: string;
  readonly BreakerFunctionName: string;
  /** Only with retentionDays. */
  readonly RetentionFunctionName?: string;
  readonly TopicArn: string;
}

export type Context = Readonly<Record<string, string>>;

/** Account and region that emulators assume; credentials that they take. Never the ones of the environment. */
const ENVIRONMENT = 'aws://000000000000/us-east-1';
const CREDENTIALS = {
  AWS_ACCESS_KEY_ID: 'test',
  AWS_SECRET_ACCESS_KEY: 'test',
  AWS_REGION: 'us-east-1',
  AWS_DEFAULT_REGION: 'us-east-1',
};

const PROJECT = new URL('../..', import.meta.url).pathname;

/** `cdk bootstrap`: what every deployment needs once; repeating it changes nothing. */
export async function bootstrap(emulator: Emulator): Promise<void> {
  await cdk(emulator, ['bootstrap', ENVIRONMENT]);
}

/**
 * `cdk deploy` with this context.
 *
 * @throws VizardError when the deployment fails; what the CLI said has been shown
 */
export async function deploy(emulator: Emulator, context: Context): Promise<Outputs> {
  const directory = mkdtempSync(join(tmpdir(), 'vizard-deploy-'));
  try {
    const file = join(directory, 'outputs.json');
    await cdk(emulator, [
      'deploy',
      ...contextOptions(context),
      '--require-approval=never',
      '--progress=events',
      `--outputs-file=${file}`,
    ]);
    return (JSON.parse(readFileSync(file, 'utf8')) as { Vizard: Outputs }).Vizard;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** `cdk destroy`. */
export async function destroy(emulator: Emulator, context: Context): Promise<void> {
  await cdk(emulator, ['destroy', '--force', ...contextOptions(context)]);
}

export function contextOptions(context: Context): string[] {
  return Object.entries(context).flatMap(([key, value]) => ['-c', `${key}=${value}`]);
}

/** What a run of the CLI said. */
export interface CdkResult {
  readonly exitCode: number | null;
  readonly output: string;
}

/** @throws VizardError when the command fails */
async function cdk(emulator: Emulator, args: readonly string[]): Promise<void> {
  const { exitCode } = await runCdk(emulator, args, (text) => process.stderr.write(text));
  if (exitCode !== 0) throw new VizardError(`cdk ${args[0]} failed with exit code ${exitCode}; see above`);
}

/**
 * Runs the CDK's command line of this project against an emulator.
 *
 * @param onOutput told what it says, as it says it
 */
export async function runCdk(
  { endpointUrl }: Emulator,
  args: readonly string[],
  onOutput: (text: string) => void = () => {},
): Promise<CdkResult> {
  const bin = join(PROJECT, 'node_modules', '.bin');
  const { AWS_PROFILE: _, AWS_SESSION_TOKEN: __, ...env } = process.env;
  const child = spawn(join(bin, 'cdk'), [...args, '--no-notices'], {
    cwd: PROJECT,
    env: {
      ...env,
      ...CREDENTIALS,
      PATH: `${bin}:${env.PATH}`,
      AWS_ENDPOINT_URL: endpointUrl,
      AWS_ENDPOINT_URL_S3: s3EndpointUrl(endpointUrl),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const hear = (chunk: Buffer) => {
    output += chunk.toString();
    onOutput(chunk.toString());
  };
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  const [exitCode] = (await once(child, 'close')) as [number | null];
  return { exitCode, output };
}

/** LocalStack knows a bucket by the first part of the host name, below a name of its own. */
function s3EndpointUrl(endpointUrl: string): string {
  const url = new URL(endpointUrl);
  if (url.hostname !== 'localhost.localstack.cloud') return endpointUrl;
  return Object.assign(url, { hostname: `s3.${url.hostname}` }).href;
}
