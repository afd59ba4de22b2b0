import { beforeEach, describe, expect, it, vi } from 'vitest';
import { keysetSource } from '../../lambda/aws/keyset.ts';
import { KeysetFailure } from '../../lambda/errors.ts';
import { type Keyset, parseKeyset } from '../../lambda/masking/keyset.ts';
import { REGION, SERVICE_MESSAGE, secretArn, useAwsServer } from '../support/aws-server.ts';
import { useDatabase } from '../support/database.ts';
import { useFunctions } from '../support/function.ts';
import { runLambda } from '../support/lambda-process.ts';
import { KEYSET_JSON, record, records } from '../support/records.ts';

const database = useDatabase();
const createFunction = useFunctions();
const aws = useAwsServer();

const ARN = secretArn('keyset');
const OTHER_KEYSET = JSON.stringify({ primary: 'k2', k1: 'a'.repeat(43), k2: 'b'.repeat(43) });

const open = () => keysetSource({ kind: 'secret', arn: ARN, region: REGION });

async function failureOf(source: () => Promise<Keyset>): Promise<KeysetFailure> {
  const failure = await source().catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(KeysetFailure);
  return failure as KeysetFailure;
}

/** Later than what is cached is good for. */
function waitForCache(): void {
  vi.setSystemTime(Date.now() + 301_000);
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'] });
  return () => {
    vi.useRealTimers();
  };
});

describe('a keyset', () => {
  it('that is inline is the one that was read at the start', async () => {
    const keyset = parseKeyset(KEYSET_JSON);

    expect(await keysetSource({ kind: 'inline', keyset })()).toBe(keyset);
    expect(aws.requests).toEqual([]);
  });

  it('that is a secret is fetched once in five minutes, and parsed once a version', async () => {
    aws.secrets.set(ARN, KEYSET_JSON);
    const source = open();

    const first = await source();
    vi.setSystemTime(Date.now() + 299_000);
    expect(await source()).toBe(first);
    expect(aws.requests).toEqual([`GetSecretValue ${ARN}`]);

    waitForCache();
    expect(await source()).toBe(first);
    expect(aws.requests).toHaveLength(2);

    aws.secrets.set(ARN, OTHER_KEYSET);
    waitForCache();
    const second = await source();
    expect(second).not.toBe(first);
    expect([first.primary, second.primary]).toEqual(['k1', 'k2']);
  });

  it.each([
    ['AccessDeniedException', /got AccessDeniedException; allow the function secretsmanager:GetSecretValue/],
    ['ResourceNotFoundException', /got ResourceNotFoundException; name a secret that exists/],
    ['InternalServiceError', /got InternalServiceError; check that the function reaches Secrets Manager/],
  ])('that cannot be read because of %s is said in one line', async (error, message) => {
    aws.secrets.set(ARN, { error });

    const failure = await failureOf(open());

    expect(failure.code).toBe(error);
    expect(failure.message).toMatch(/^MASKING_KEYSET_SECRET_ARN: [^\n]+$/);
    expect(failure.message).toMatch(message);
    expect(JSON.stringify(failure) + failure.stack).not.toContain(SERVICE_MESSAGE);
  });

  it('that nobody answers for is given up in time', async () => {
    aws.secrets.set(ARN, null);
    const start = performance.now();

    const failure = await failureOf(open());

    expect(failure.code).toBe('ETIMEDOUT');
    expect(performance.now() - start).toBeLessThan(13_000);
  }, 20_000);

  it('that is malformed is read again as soon as somebody may have mended it', async () => {
    const source = open();
    aws.secrets.set(ARN, '{"primary":"k1","k1":"CANARY"}');
    const failure = await failureOf(source);
    expect(failure.code).toBe('malformed');
    expect(failure.message).toMatch(
      /^MASKING_KEYSET_SECRET_ARN: member "k1" expected at least 43 characters, got 6$/,
    );

    aws.secrets.set(ARN, KEYSET_JSON);

    expect((await source({ fresh: true })).primary).toBe('k1');
  });

  it('that could not be read is asked for again at the next invocation', async () => {
    const source = open();
    await failureOf(source);
    aws.secrets.set(ARN, KEYSET_JSON);

    expect((await source()).primary).toBe('k1');
  });
});

describe('an invocation', () => {
  it('masks under the keyset of the moment', async () => {
    aws.secrets.set(ARN, KEYSET_JSON);
    const { invoke } = createFunction({ databaseUrl: database.url, keysetSource: open() });

    await invoke([record()]);
    aws.secrets.set(ARN, OTHER_KEYSET);
    await invoke([record()]);
    waitForCache();
    await invoke([record()]);

    const rows = await database.rows<{ kid: string }>(
      `SELECT split_part(masked_ip, '~', 2) AS kid FROM user_logins ORDER BY 1`,
    );
    expect(rows.map(({ kid }) => kid)).toEqual(['k1', 'k1', 'k2']);
  });

  it('derives keys once for a keyset', async () => {
    const keyset = parseKeyset(KEYSET_JSON);
    let derived = 0;
    const counting: Keyset = {
      ...keyset,
      derive(scheme, kid) {
        derived++;
        return keyset.derive(scheme, kid);
      },
    };
    const { invoke } = createFunction({
      databaseUrl: database.url,
      keysetSource: () => Promise.resolve(counting),
    });

    for (let i = 0; i < 3; i++) await invoke([record()]);

    // One for each masked column, and one for the proof.
    expect(derived).toBe(3);
  });
});

describe('a cold start', () => {
  // A module that is loaded says so on standard error.
  const watch = `data:text/javascript,${encodeURIComponent(`
    import { registerHooks } from 'node:module';
    registerHooks({ load(url, context, next) {
      if (/client-secrets-manager|rds-signer|client-rds/.test(url)) process.stderr.write('LOADED ' + url);
      return next(url, context);
    } })`)}`;
  const env = (changes: Record<string, string>) => ({
    ...aws.env(),
    NODE_OPTIONS: `--import=${watch}`,
    DATABASE_URL: database.url,
    ...changes,
  });

  it('loads no SDK where nothing is on AWS', async () => {
    const { output, lines } = await runLambda(env({ MASKING_KEYSET: KEYSET_JSON }), [records(1)]);

    expect(output).not.toContain('LOADED');
    expect(lines).toContainEqual({ response: { batchItemFailures: [] } });
  });

  it('loads it where the keyset is a secret', async () => {
    aws.secrets.set(ARN, KEYSET_JSON);

    const { output, lines } = await runLambda(env({ MASKING_KEYSET_SECRET_ARN: ARN }), [
      records(1),
      records(1),
    ]);

    expect(output).toContain('LOADED');
    expect(lines.filter((line) => 'response' in line)).toHaveLength(2);
    expect(aws.requests).toEqual([`GetSecretValue ${ARN}`]);
    expect(await database.count()).toBe(2);
  });
});
