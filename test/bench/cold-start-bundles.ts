import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { VizardError } from '../../lambda/errors.ts';

const ROOT = new URL('../..', import.meta.url).pathname;
/** Where Lambda keeps Amazon's authorities. */
const LAMBDA_FILE = '/var/runtime/ca-cert.pem';

/**
 * The ingest's bundle as the stack deploys it, but for the place of the authorities.
 *
 * @param directory for the assembly, which is written to it
 * @param certificates file that is read in place of Lambda's
 * @returns path of the bundle
 */
export async function deployedBundle(directory: string, certificates: string): Promise<string> {
  const outdir = join(directory, 'assembly');
  const { context } = readJson<{ context: object }>(join(ROOT, 'cdk.json'));
  const settings = { ...context, database: 'url', databaseUrl: 'postgres://localhost/none' };
  await promisify(execFile)(process.execPath, [join(ROOT, 'bin/app.ts')], {
    cwd: ROOT,
    env: { PATH: process.env.PATH, CDK_OUTDIR: outdir, CDK_CONTEXT_JSON: JSON.stringify(settings) },
  });
  const { Resources } = readJson<Template>(join(outdir, 'Vizard.template.json'));
  const [, ingest] = Object.entries(Resources).find(([id]) => /^IngestFunction[0-9A-F]{8}$/.test(id)) ?? [];
  const bundle = join(outdir, `asset.${ingest?.Properties.Code?.S3Key.replace('.zip', '')}`, 'index.js');
  const code = readFileSync(bundle, 'utf8');
  if (!code.includes(LAMBDA_FILE)) {
    throw new VizardError(
      `${bundle}: expected it to read ${LAMBDA_FILE}, got other code; see where it has its authorities from`,
    );
  }
  writeFileSync(bundle, code.replace(LAMBDA_FILE, certificates));
  return bundle;
}

interface Template {
  readonly Resources: Readonly<
    Record<string, { readonly Properties: { readonly Code?: { readonly S3Key: string } } }>
  >;
}

function readJson<T>(file: string): T {
  return JSON.parse(readFileSync(file, 'utf8')) as T;
}

/** Other code bundled in the same way. @returns path of the bundle */
export async function bundleOf(directory: string, name: string, contents: string): Promise<string> {
  // A runner may await at the top, as Lambda's own does.
  const format = name === 'runner' ? 'esm' : 'cjs';
  const outfile = join(directory, `${name}.${format === 'esm' ? 'mjs' : 'cjs'}`);
  await build({
    stdin: { contents, resolveDir: ROOT, loader: 'ts' },
    outfile,
    format,
    bundle: true,
    minify: true,
    platform: 'node',
    target: 'node24',
    mainFields: ['module', 'main'],
    external: ['pg-native'],
  });
  return outfile;
}
