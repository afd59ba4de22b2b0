import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { record } from '../support/records.ts';
import { bundledDeployment, MODES, resources, templateOf } from './deployments.ts';

const NAMES = [
  'BreakerFunction',
  'IngestFunction',
  'IngestProbeFunction',
  'IngestSchemaFunction',
  'IngestSchemaResourceIdFunction',
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
    const { app, stack } = bundledDeployment(MODES.existing, assembly);
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

  it('signs in to a database on RDS with what it has inside: token and certificates', () => {
    const call = `require(${JSON.stringify(join(bundles.IngestFunction!, 'index.js'))})
      .handler({ Records: ${JSON.stringify([record()])} }, { getRemainingTimeInMillis: () => 5000 })
      .catch(({ name, code }) => console.log(name, code)).finally(() => process.exit())`;
    const { stdout } = spawnSync(process.execPath, ['-e', call], {
      encoding: 'utf8',
      env: {
        MASKING_KEYSET: ENVIRONMENT.MASKING_KEYSET,
        AWS_REGION: 'eu-west-1',
        AWS_ACCESS_KEY_ID: 'test',
        AWS_SECRET_ACCESS_KEY: 'test',
        // Nobody listens there, and that is what is heard of in the end.
        DATABASE_HOST: '127.0.0.1',
        DATABASE_PORT: '1',
        DATABASE_NAME: 'logins',
        DATABASE_USER: 'vizard_writer',
      },
    });

    expect(stdout).toContain('DatabaseFailure ECONNREFUSED');
  });
});
