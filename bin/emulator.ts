import { readFileSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { Command, CommanderError, Option } from 'commander';
import { VizardError } from '../lambda/errors.ts';
import { send } from './commands/send.ts';
import { show } from './commands/show.ts';
import { bootstrap, type Context, deploy, destroy, type Outputs } from './local/cdk.ts';

/** `npm run deploy:local`, `send:local`, `show:local`, `destroy:local`: the stack on LocalStack or another emulator. */

/** What docker-compose.yml starts: as the functions' containers reach it, and as this machine does. */
const ENDPOINT_URL = 'http://localhost.localstack.cloud:4566';
const FUNCTIONS_DATABASE_URL = 'postgres://postgres:postgres@postgres:5432/postgres';
const DATABASE_URL = 'postgres://postgres:postgres@localhost:5432/postgres';

/** Where `deploy` leaves the stack's outputs for the other commands. */
const OUTPUTS = '.vizard/emulator.json';

interface DeployOptions {
  readonly endpointUrl: string;
  readonly databaseUrl: string;
  readonly context: readonly string[];
}

interface Deployed extends Outputs {
  readonly endpointUrl: string;
}

const endpointUrl = () =>
  new Option('--endpoint-url <url>', 'where the emulator is').env('AWS_ENDPOINT_URL').default(ENDPOINT_URL);
const functionsDatabaseUrl = () =>
  new Option('--database-url <url>', 'Postgres, as the functions reach it')
    .env('DATABASE_URL')
    .default(FUNCTIONS_DATABASE_URL);

function contextOf({ databaseUrl, context }: DeployOptions): Context {
  const given = context.map((pair) => {
    const [key = '', value] = pair.split(/=(.*)/s, 2);
    if (value === undefined) throw new VizardError(`--context: expected key=value, got no value for ${key}`);
    return [key, value];
  });
  return { database: 'url', databaseUrl, ...Object.fromEntries(given) };
}

async function requireEmulator({ endpointUrl }: DeployOptions): Promise<void> {
  try {
    await fetch(endpointUrl, { signal: AbortSignal.timeout(5_000) });
  } catch {
    throw new VizardError(
      `no emulator answers at ${endpointUrl}; start one with docker compose up -d --wait, or name it with --endpoint-url`,
    );
  }
}

function deployed(): Deployed {
  try {
    return JSON.parse(readFileSync(OUTPUTS, 'utf8')) as Deployed;
  } catch {
    throw new VizardError(
      `${OUTPUTS}: expected what a deployment leaves, found nothing; run npm run deploy:local`,
    );
  }
}

const program = new Command('emulator')
  .description('The stack on LocalStack (docker compose up -d) or another emulator.')
  .exitOverride();

program
  .command('deploy')
  .description('Bootstrap and deploy the stack.')
  .addOption(endpointUrl())
  .addOption(functionsDatabaseUrl())
  .option('-c, --context <key=value...>', "the stack's context", [])
  .action(async (options: DeployOptions) => {
    const context = contextOf(options);
    await requireEmulator(options);
    await bootstrap(options);
    const outputs = await deploy(options, context);
    await mkdir('.vizard', { recursive: true });
    writeFileSync(OUTPUTS, JSON.stringify({ ...outputs, endpointUrl: options.endpointUrl }, undefined, 2));
    process.stdout.write('deployed; now: npm run send:local -- bin/local/sample.jsonl\n');
  });

program
  .command('send')
  .description('Send every line of a file as one message to the deployed queue.')
  .argument('<file>', 'one message body a line, - for standard input')
  .action(async (file: string) => {
    const { QueueUrl: queueUrl, endpointUrl } = deployed();
    process.exitCode = await send(file, { queueUrl, endpointUrl, json: false });
  });

program
  .command('show')
  .description('Show the latest rows and the masked values that repeat.')
  .addOption(new Option('--database-url <url>', 'Postgres, as this machine reaches it').default(DATABASE_URL))
  .option('--limit <n>', 'rows of each', Number, 10)
  .action(async ({ databaseUrl, limit }: { databaseUrl: string; limit: number }) => {
    process.exitCode = await show({ databaseUrl, limit, json: false });
  });

program
  .command('destroy')
  .description('Remove the stack; queues, keyset and key are left.')
  .addOption(endpointUrl())
  .addOption(functionsDatabaseUrl())
  .option('-c, --context <key=value...>', "the stack's context", [])
  .action((options: DeployOptions) => destroy(options, contextOf(options)));

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = 2;
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
  else if (error instanceof VizardError) process.stderr.write(`vizard: ${error.message}\n`);
  else throw error;
}
