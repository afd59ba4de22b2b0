import { describe, expect, it } from 'vitest';
import { secretArn, useAwsServer } from '../support/aws-server.ts';
import { useDatabase } from '../support/database.ts';
import { useFunctions } from '../support/function.ts';
import { runEntryPoint } from '../support/lambda-process.ts';
import { compact, daysFrom, partitions, recordOf } from '../support/partitions.ts';

const database = useDatabase({ empty: true });
const aws = useAwsServer();
const createFunction = useFunctions();
const ENV = { DATABASE_URL: database.url, RETENTION_DAYS: '30', POWERTOOLS_SERVICE_NAME: 'Vizard' };
const today = () => Math.floor(Date.now() / 86_400_000);

/** What was published, without what the format itself needs. */
function published(lines: readonly Readonly<Record<string, unknown>>[]): unknown[] {
  return lines.filter((line) => '_aws' in line).map(({ _aws, ...values }) => values);
}

describe('the function that keeps the partitions', () => {
  it('finds what the migration has made, drops what is too old, and says how far ahead it is', async () => {
    const migration = await runEntryPoint('migrate', ENV, [{ RequestType: 'Create' }]);
    expect(migration.lines.at(-1)).toHaveProperty('response');
    const day = today();
    expect(await partitions(database)).toEqual([...daysFrom(day, day + 7), 'default']);
    const old = compact(day - 32);
    await database.client.query(
      `CREATE TABLE user_logins_${old} PARTITION OF user_logins FOR VALUES FROM ('${old}') TO ('${compact(day - 31)}')`,
    );
    const { invoke } = createFunction({ databaseUrl: database.url });
    await invoke([recordOf(day - 32), recordOf(day - 40), recordOf(day - 3)]);

    const { lines } = await runEntryPoint('retention', ENV, [{}, {}]);

    expect(
      lines.filter(({ level }) => level !== undefined).map(({ message, rows }) => [message, rows]),
    ).toEqual([
      [`dropped partition user_logins_${old}`, undefined],
      ['deleted rows of the default partition that were too old', 1],
      [`made partition user_logins_${compact(day - 3)}`, 1],
    ]);
    expect(published(lines)).toEqual([
      { service: 'Vizard', PartitionsAhead: 8, PartitionsDropped: 1, ExpiredRows: 1 },
      { service: 'Vizard', PartitionsAhead: 8, PartitionsDropped: 0, ExpiredRows: 0 },
    ]);
  });

  it('is refused by a deployment that does without it', async () => {
    const { lines } = await runEntryPoint('migrate', { ...ENV, RETENTION_DAYS: '' }, [
      { RequestType: 'Update' },
    ]);

    expect(lines.at(-1)?.errorMessage).toMatch(
      /^table user_logins: expected a plain table without retentionDays/,
    );
  });

  it.each([
    [{ RETENTION_DAYS: '' }, /^RETENTION_DAYS: expected a value, got nothing; set it$/],
    [{ DATABASE_URL: '' }, /^DATABASE_URL: expected a value/],
    [
      { DATABASE_URL: 'postgres://u:CANARY@127.0.0.1:1/db' },
      /^partitions of user_logins were not kept up; check host, port .* \(ECONNREFUSED\)$/,
    ],
    [
      { DATABASE_URL: Object.assign(new URL(database.url), { password: 'CANARY' }).href },
      /^partitions of user_logins were not kept up; check that user and password .* \(28P01\)$/,
    ],
    [
      { DATABASE_URL: '', DATABASE_SECRET_ARN: secretArn('administrator') },
      /^DATABASE_SECRET_ARN: expected a secret that can be read/,
    ],
  ])('fails with one line and publishes nothing: %#', async (changes, message) => {
    const { lines, output } = await runEntryPoint('retention', { ...aws.env(), ...ENV, ...changes }, [{}]);

    expect(lines.find((line) => 'errorMessage' in line)?.errorMessage).toMatch(message);
    expect(published(lines)).toEqual([]);
    expect(output).not.toContain('CANARY');
  });
});
