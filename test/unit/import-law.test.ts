import { globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '..', '..');

interface Import {
  readonly file: string;
  /** A path from the root where it is a file of ours, else the package. */
  readonly target: string;
}

/** The files that Lambda starts. */
const ENTRY_POINTS = [
  'breaker',
  'find-database',
  'handler',
  'migrate',
  'probe',
  'public-key',
  'retention',
].map((name) => `lambda/${name}.ts`);

function importsOf(folder: string): Import[] {
  return globSync(`${folder}/**/*.ts`, { cwd: ROOT }).flatMap((file) => {
    const source = readFileSync(join(ROOT, file), 'utf8');
    const targets = source.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g);
    return [...targets].map(([, target = '']) => ({
      file,
      target: target.startsWith('.') ? normalize(join(dirname(file), target)) : target,
    }));
  });
}

describe('the import law', () => {
  it.each<[string, string, RegExp]>([
    ['lambda', 'never lib, bin, test or the CDK', /^(lib|bin|test)\/|^aws-cdk-lib|^constructs/],
    [
      'lambda/events',
      'neither pg nor an AWS package nor another stage',
      /^pg|^@aws|^lambda\/(masking|postgres)\//,
    ],
    ['lambda/masking', 'neither pg nor an AWS package nor the writer', /^pg|^@aws|^lambda\/postgres\//],
    [
      'lambda/breaker',
      'nothing of the way of an event, and no AWS package: it decides',
      /^pg|^@aws|^lambda\/(aws|events|masking|postgres)\//,
    ],
    [
      'lambda/postgres',
      'no AWS package: passwords and authorities are passed in',
      /^@aws|^aws|^lambda\/aws\//,
    ],
    [
      'lib',
      'nothing of lambda but the names that they have in common',
      /^(bin|test)\/|^lambda\/(?!names\.ts$)/,
    ],
    ['bin', 'nothing of test', /^test\//],
    ['bin/queue', 'nothing of the rest of bin', /^bin\/(?!queue\/)/],
  ])('%s imports %s', (folder, _rule, forbidden) => {
    expect(importsOf(folder).filter(({ target }) => forbidden.test(target))).toEqual([]);
  });

  it('lets only postgres/ import pg', () => {
    const imports = ['lambda', 'bin', 'lib'].flatMap(importsOf);
    const importers = imports.filter(({ target }) => /^pg(-|$)/.test(target));

    expect(importers.length).toBeGreaterThan(0);
    expect(importers.filter(({ file }) => !file.startsWith('lambda/postgres/'))).toEqual([]);
  });

  it('lets AWS packages only where they belong', () => {
    const importers = importsOf('lambda').filter(({ target }) => /^@aws|^aws-(?!lambda$)/.test(target));
    const elsewhere = importers.filter(({ file }) => !file.startsWith('lambda/aws/'));

    expect(elsewhere.map(({ file, target }) => `${file}: ${target}`).toSorted()).toEqual(
      [
        ...ENTRY_POINTS.map((file) => `${file}: @aws-lambda-powertools/logger`),
        'lambda/metrics.ts: @aws-lambda-powertools/metrics',
      ].toSorted(),
    );
  });

  it('lets only the entry points import what is particular to AWS', () => {
    const importers = ['lambda', 'bin'].flatMap(importsOf).filter(({ file, target }) => {
      return /^lambda\/(aws\/|metrics\.ts)/.test(target) && !file.startsWith('lambda/aws/');
    });

    expect([...new Set(importers.map(({ file }) => file))].toSorted()).toEqual(ENTRY_POINTS);
  });

  it('lets names.ts import nothing, because the stack imports it', () => {
    expect(importsOf('lambda').filter(({ file }) => file === 'lambda/names.ts')).toEqual([]);
  });

  it('lets only config.ts and the entry points read the environment', () => {
    const readers = globSync('lambda/**/*.ts', { cwd: ROOT }).filter((file) =>
      readFileSync(join(ROOT, file), 'utf8').includes('process.env'),
    );

    expect(readers.toSorted()).toEqual(ENTRY_POINTS);
  });
});
