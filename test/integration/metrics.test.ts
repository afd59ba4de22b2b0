import { describe, expect, it } from 'vitest';
import { secretArn, useAwsServer } from '../support/aws-server.ts';
import { useDatabase } from '../support/database.ts';
import { type LambdaRun, runLambda } from '../support/lambda-process.ts';
import { KEYSET_JSON, loginEvent, record, records } from '../support/records.ts';

const database = useDatabase();
const aws = useAwsServer();

const env = (changes: Record<string, string> = {}) => ({
  DATABASE_URL: database.url,
  MASKING_KEYSET: KEYSET_JSON,
  POWERTOOLS_SERVICE_NAME: 'logins-of-a-test',
  ...changes,
});

type Blob = Readonly<Record<string, unknown>> & {
  readonly _aws: {
    readonly CloudWatchMetrics: readonly {
      readonly Namespace: string;
      readonly Dimensions: readonly (readonly string[])[];
      readonly Metrics: readonly { readonly Name: string; readonly Unit: string }[];
    }[];
  };
};

/** What was published, in its order. */
function blobs({ lines }: LambdaRun): Blob[] {
  return lines.filter((line): line is Blob => '_aws' in line);
}

function withoutHeader({ _aws, ...values }: Blob): Record<string, unknown> {
  return values;
}

const SERVICE = { service: 'logins-of-a-test' };
const TIMES = ['KeysetTime', 'ParseTime', 'MaskTime', 'WriteTime'];
const COUNTS = ['BatchSize', 'Stored', 'Duplicates', 'Rejected', 'Retried', 'Blocked'];

describe('the metrics of an invocation', () => {
  it('are one object with counts, times and lag, and one for each reason of a rejection', async () => {
    const sentTimestamp = String(Date.now() - 90_000);
    const good = record(loginEvent(), { sentTimestamp });
    const batch = [good, good, record('{}'), record('{}'), record('no JSON')];

    const published = blobs(await runLambda(env(), [batch]));

    const [main, ...reasons] = published;
    const [declared] = main!._aws.CloudWatchMetrics;
    expect(declared).toMatchObject({ Namespace: 'Vizard', Dimensions: [['service']] });
    expect(declared!.Metrics).toEqual([
      ...COUNTS.map((Name) => ({ Name, Unit: 'Count' })),
      ...[...TIMES, 'Lag'].map((Name) => ({ Name, Unit: 'Milliseconds' })),
    ]);
    expect(withoutHeader(main!)).toEqual({
      ...SERVICE,
      BatchSize: 5,
      Stored: 1,
      Duplicates: 1,
      Rejected: 3,
      Retried: 0,
      Blocked: 0,
      ...Object.fromEntries(TIMES.map((name) => [name, expect.any(Number)])),
      Lag: expect.any(Number),
    });
    expect(main!.Lag).toBeGreaterThanOrEqual(90_000);
    expect(main!.Lag).toBeLessThan(150_000);
    expect(main!.WriteTime).toBeGreaterThan(0);
    expect(main!.ParseTime).toBeGreaterThan(0);
    expect(reasons.map(withoutHeader)).toEqual([
      { ...SERVICE, code: 'missing', Rejected: 2 },
      { ...SERVICE, code: 'json', Rejected: 1 },
    ]);
    expect(reasons[0]!._aws.CloudWatchMetrics[0]!.Dimensions).toEqual([['service', 'code']]);
  });

  it('do not add up over invocations', async () => {
    const published = blobs(await runLambda(env(), [records(3), [], records(4)]));

    expect(published.map(({ BatchSize, Stored }) => [BatchSize, Stored])).toEqual([
      [3, 3],
      [0, 0],
      [4, 4],
    ]);
    expect('Lag' in published[1]!).toBe(false);
  });

  it('say that the database cannot be reached, when the handler throws', async () => {
    const run = await runLambda(env({ DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none' }), [
      records(2),
      [record('{}')],
    ]);

    expect(run.lines.some((line) => line.errorType === 'DatabaseFailure')).toBe(true);
    const [failed, next] = blobs(run);
    expect(withoutHeader(failed!)).toEqual({ ...SERVICE, DatabaseUnreachable: 1, Blocked: 1 });
    expect(next).toMatchObject({ Rejected: 1 });
    expect(next).not.toHaveProperty('DatabaseUnreachable');
  });

  it.each([
    ['cannot be fetched', undefined],
    ['is malformed', '{"primary":"k1"}'],
  ])('say that the keyset %s', async (_name, secret) => {
    const arn = secretArn('keyset');
    if (secret !== undefined) aws.secrets.set(arn, secret);

    const run = await runLambda(env({ ...aws.env(), MASKING_KEYSET: '', MASKING_KEYSET_SECRET_ARN: arn }), [
      records(2),
    ]);

    expect(blobs(run).map(withoutHeader)).toEqual([{ ...SERVICE, KeysetUnreachable: 1, Blocked: 1 }]);
  });
});
