import { spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ContextError, parseContext } from '../../lib/context.ts';
import { CONTEXT_KEYS, defaultOf, KEYS, type Name } from '../../lib/context-keys.ts';
import { MODES, PUBLIC_KEY_FILE } from './deployments.ts';

const SECRET = 'arn:aws:secretsmanager:eu-west-1:111122223333:secret:keyset-AbCdEf';
const QUEUE = 'arn:aws:sqs:eu-west-1:111122223333:logins';
const KEY = 'arn:aws:kms:eu-west-1:111122223333:key/0123-4567';

const directory = mkdtempSync(join(tmpdir(), 'vizard-context-'));
afterAll(() => rmSync(directory, { recursive: true }));

const spki = { format: 'pem', type: 'spki' } as const;
const rsa = (modulusLength: number) => generateKeyPairSync('rsa', { modulusLength });
/** Files that are not the public half of a recovery key. */
const NO_PUBLIC_KEYS = {
  'one that is too short': rsa(2048).publicKey.export(spki),
  'the private half': rsa(3072).privateKey.export({ format: 'pem', type: 'pkcs8' }),
  'one that only signs': generateKeyPairSync('rsa-pss', { modulusLength: 3072 }).publicKey.export(spki),
  'one that is not RSA': generateKeyPairSync('x25519').publicKey.export(spki),
  'a part of one': readFileSync(PUBLIC_KEY_FILE, 'utf8').slice(0, 300),
  nothing: '',
};

describe('context', () => {
  it('without a word means a new database, queue and keyset, with the documented defaults', () => {
    expect(parseContext({})).toEqual({
      database: { kind: 'aurora', minAcu: 0.5, maxAcu: 8 },
      queue: { kind: 'new' },
      keyset: { kind: 'new' },
      alarmEmail: undefined,
      masking: 'recoverable',
      recovery: { kind: 'open' },
      ipNetwork: false,
      retentionDays: undefined,
      batchSize: 10_000,
      batchingWindowSeconds: 5,
      maxConcurrency: 10,
      memoryMb: 1769,
    });
  });

  it('is typed', () => {
    const settings = parseContext({
      ...MODES.existing,
      databaseHost: 'logins.cluster-abc.eu-west-1.rds.amazonaws.com',
      databasePort: 6432,
      databaseName: 'logins',
      queueArn: QUEUE,
      deadLetterQueueArn: `${QUEUE}-dlq`,
      queueKeyArn: KEY,
      keysetSecretArn: SECRET,
      keysetKeyArn: KEY,
      alarmEmail: 'oncall@example.com',
      masking: 'irreversible',
      retentionDays: 3650,
      batchSize: 10,
      batchingWindowSeconds: '0',
      maxConcurrency: '1000',
      memoryMb: '512',
    });

    expect(settings).toMatchObject({
      database: {
        kind: 'existing',
        vpcId: MODES.existing.vpcId,
        host: 'logins.cluster-abc.eu-west-1.rds.amazonaws.com',
        port: 6432,
        database: 'logins',
      },
      queue: { kind: 'existing', queueArn: QUEUE, deadLetterQueueArn: `${QUEUE}-dlq`, keyArn: KEY },
      keyset: { kind: 'existing', secretArn: SECRET, keyArn: KEY },
      alarmEmail: 'oncall@example.com',
      masking: 'irreversible',
      retentionDays: 3650,
      batchSize: 10,
      batchingWindowSeconds: 0,
      maxConcurrency: 1000,
      memoryMb: 512,
    });
    expect(Object.isFrozen(settings)).toBe(true);
  });

  it.each([{}, { masking: 'irreversible' }])(
    'makes irreversible tokens where recovery is sealed: %j',
    (context) => {
      expect(parseContext({ ...context, recovery: 'sealed' })).toMatchObject({
        masking: 'irreversible',
        recovery: { kind: 'sealed', publicKey: undefined },
      });
    },
  );

  it.each(Object.entries(NO_PUBLIC_KEYS))('takes %s for no recovery key', (_name, contents) => {
    const file = join(directory, 'key.pem');
    writeFileSync(file, contents);

    expect(() => parseContext({ recovery: 'sealed', recoveryPublicKey: file })).toThrow(
      new ContextError(
        `recoveryPublicKey: expected a PEM file with an RSA public key of 3072 bits or more, got "${file}"`,
      ),
    );
  });

  it("leaves the CDK's own keys alone", () => {
    expect(
      parseContext({ '@aws-cdk/core:x': true, 'aws:cdk:y': [], 'vpc-provider:account=1:region=2': {} }),
    ).toEqual(parseContext({}));
  });

  it.each<[Record<string, unknown>, string]>([
    [{ alarmEmial: 'a@b.c' }, 'unknown context key alarmEmial: expected one of database, minAcu'],
    [{ Database: 'url' }, 'unknown context key Database'],
    [{ database: 'mysql' }, 'database: expected aurora, existing, url, got "mysql"'],
    [{ database: '' }, 'database: expected aurora, existing, url, got ""'],
    [
      { database: 'url' },
      'databaseUrl: expected a value with database=url, got nothing; add -c databaseUrl=…',
    ],
    [
      { database: 'url', databaseUrl: 'mysql://root:secret@host' },
      'databaseUrl: expected postgres://user:password@host:5432/database, got 24 other characters',
    ],
    [{ databaseUrl: 'postgres://h/d' }, 'databaseUrl: expected only with database=url, got database=aurora'],
    [{ ...MODES.existing, minAcu: 1 }, 'minAcu: expected only with database=aurora, got database=existing'],
    [
      { ...MODES.existing, databaseSecretArn: 'arn:aws:secretsmanager:eu-west-1:111122223333:secret:logins' },
      'databaseSecretArn: expected the complete ARN of a secret',
    ],
    [{ ...MODES.existing, vpcId: 'my-vpc' }, 'vpcId: expected the id of a VPC, vpc-…, got "my-vpc"'],
    [{ ...MODES.existing, databaseSecurityGroupId: 'sg' }, 'databaseSecurityGroupId: expected the id of'],
    [{ minAcu: '0.3' }, 'minAcu: expected 0 to 256 in steps of 0.5, got "0.3"'],
    [{ minAcu: 257 }, 'minAcu: expected 0 to 256 in steps of 0.5, got "257"'],
    [{ maxAcu: '0.5' }, 'maxAcu: expected 1 to 256 in steps of 0.5, got "0.5"'],
    [{ minAcu: 4, maxAcu: 2 }, 'minAcu: expected at most maxAcu=2, got 4'],
    [{ queueArn: `${QUEUE}.fifo` }, 'queueArn: expected the ARN of a standard queue'],
    [{ queueKeyArn: KEY }, 'queueKeyArn: expected only with queueArn, got queueArn=nothing'],
    [{ deadLetterQueueArn: QUEUE }, 'deadLetterQueueArn: expected only with queueArn'],
    [{ databaseSecretKeyArn: KEY }, 'databaseSecretKeyArn: expected only with database=existing'],
    [{ keysetKeyArn: KEY }, 'keysetKeyArn: expected only with keysetSecretArn'],
    [{ alarmEmail: 'nobody' }, 'alarmEmail: expected an e-mail address, got "nobody"'],
    [{ masking: 'none' }, 'masking: expected recoverable, irreversible, got "none"'],
    [{ retentionDays: 0 }, 'retentionDays: expected 1 to 3650, got "0"'],
    [{ retentionDays: 3651 }, 'retentionDays: expected 1 to 3650, got "3651"'],
    [{ retentionDays: '30d' }, 'retentionDays: expected 1 to 3650, got "30d"'],
    [{ batchSize: 0 }, 'batchSize: expected 1 to 10000, got "0"'],
    [{ batchSize: 10_001 }, 'batchSize: expected 1 to 10000, got "10001"'],
    [{ batchSize: '1e3' }, 'batchSize: expected 1 to 10000, got "1e3"'],
    [{ batchSize: 1.5 }, 'batchSize: expected 1 to 10000, got "1.5"'],
    [{ batchingWindowSeconds: 301 }, 'batchingWindowSeconds: expected 0 to 300, got "301"'],
    [
      { batchingWindowSeconds: 0 },
      'batchingWindowSeconds: expected 1 to 300 with a batchSize above 10, got 0',
    ],
    [{ maxConcurrency: 1 }, 'maxConcurrency: expected 2 to 1000, got "1"'],
    [{ maxAcu: 1, maxConcurrency: 151 }, 'maxConcurrency: expected at most 150 with maxAcu=1, got 151'],
    [{ ...MODES.existing, databaseHost: 'localhost' }, 'databaseHost: expected a host name of RDS'],
    [{ databaseHost: 'x' }, 'databaseHost: expected only with database=existing'],
    [
      { recovery: 'sealed', masking: 'recoverable' },
      'masking: expected irreversible with recovery=sealed, got "recoverable"',
    ],
    [{ recovery: 'closed' }, 'recovery: expected open, sealed, got "closed"'],
    [
      { recoveryPublicKey: PUBLIC_KEY_FILE },
      'recoveryPublicKey: expected only with recovery=sealed, got recovery=open',
    ],
    [
      { recovery: 'sealed', recoveryPublicKey: 'nowhere.pem' },
      'recoveryPublicKey: expected a PEM file with an RSA public key of 3072 bits or more, got "nowhere.pem"',
    ],
    [{ ipNetwork: 'true' }, 'ipNetwork: expected off, on, got "true"'],
    [{ memoryMb: 10_241 }, 'memoryMb: expected 128 to 10240, got "10241"'],
  ])('%j is refused in one line', (context, line) => {
    expect(() => parseContext(context)).toThrow(ContextError);
    expect(() => parseContext(context)).toThrow(line);
    expect(() => parseContext(context)).not.toThrow(/\n/);
  });

  it.each(['databaseSecretArn', 'vpcId', 'databaseSecurityGroupId'] as const)(
    'says that %s is missing beside database=existing',
    (missing) => {
      const { [missing]: _, ...rest } = MODES.existing;

      expect(() => parseContext(rest)).toThrow(
        `${missing}: expected a value with database=existing, got nothing`,
      );
    },
  );

  it.each(CONTEXT_KEYS)('says of $name what happens without it, and a default is allowed itself', (key) => {
    const given = defaultOf(key.name as Name);

    expect(key.otherwise).not.toBe('');
    if (given !== undefined) expect(KEYS[key.name as Name].parse(given)).toBeDefined();
  });
});

describe('the app', () => {
  const app = (context: Record<string, string>) =>
    spawnSync(process.execPath, ['bin/app.ts'], {
      cwd: new URL('../..', import.meta.url).pathname,
      encoding: 'utf8',
      // How the CDK's command line passes -c on.
      env: { PATH: process.env.PATH, CDK_CONTEXT_JSON: JSON.stringify(context) },
    });

  it('says that a VPC cannot be looked up without credentials', () => {
    const { status, stderr } = app(MODES.existing);

    expect(status).toBe(2);
    expect(stderr).toMatch(/^vizard: vpcId: expected credentials .*\n$/);
  });

  it('ends with one line and a non-zero exit code before anything is synthesised', () => {
    const { status, stdout, stderr } = app({ batchSize: '99999' });

    expect(status).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toBe('vizard: batchSize: expected 1 to 10000, got "99999"\n');
  });
});
