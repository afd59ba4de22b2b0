import { beforeEach, describe, expect, it } from 'vitest';
import { parseKeyset } from '../../lambda/masking/keyset.ts';
import { CALLER, SERVICE_MESSAGE, secretArn, useAwsServer } from '../support/aws-server.ts';
import { useCli } from '../support/cli.ts';
import { useDatabase } from '../support/database.ts';
import { useFunctions } from '../support/function.ts';
import { expectNoMaterial, minutesAgo, REASON } from '../support/key-commands.ts';
import { FIRST, MATERIAL, ROTATED, useKeys } from '../support/key-proofs.ts';
import { records } from '../support/records.ts';

const database = useDatabase();
const { environment } = useKeys(database, useFunctions());
const aws = useAwsServer();
const createCli = useCli();

const ARN = secretArn('keyset');
const RETIRED = JSON.stringify({ ...JSON.parse(ROTATED), 'k1.retired': minutesAgo(60) });

async function keys(args: readonly string[]) {
  const before = aws.secrets.get(ARN) as string;
  const result = await createCli().run(
    ['keys', ...args, '--reason', REASON, '--keyset-secret', ARN, '--database-url', database.url],
    { env: aws.env() },
  );
  expectNoMaterial(result, [before, aws.secrets.get(ARN) as string]);
  return result;
}

const trail = () => database.rows('SELECT who, action, kids FROM pii_audit ORDER BY number');

describe('a keyset in Secrets Manager', () => {
  beforeEach(() => {
    aws.secrets.set(ARN, FIRST);
  });

  it('gets a new key, on record as the act of whom STS knows', async () => {
    const { exitCode, json } = await keys(['add', '--json']);

    expect(exitCode).toBe(0);
    expect(json()).toMatchObject({ kid: 'k2', primary: 'k1' });
    expect(parseKeyset(aws.secrets.get(ARN) as string)).toMatchObject({ primary: 'k1', kids: ['k1', 'k2'] });
    expect(await trail()).toEqual([{ who: CALLER, action: 'keys add', kids: ['k2'] }]);
  });

  it('is neither read nor changed by somebody whom AWS does not know', async () => {
    aws.caller.arn = { error: 'ExpiredToken' };

    const { exitCode, stdout, stderr } = await keys(['add']);

    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toMatch(/^vizard: AWS does not say who you are \(ExpiredToken\).*\n$/);
    expect(aws.requests.filter((request) => request.includes('Secret'))).toEqual([]);
    expect(await trail()).toEqual([]);
  });

  it('holds a shredded key no longer, not in its previous version either', async () => {
    aws.secrets.set(ARN, RETIRED);
    await environment(ROTATED).invoke(records(1));

    const { exitCode, stdout } = await keys(['shred', 'k1', '--yes']);

    expect(exitCode).toBe(0);
    expect(aws.secrets.get(ARN)).not.toContain(MATERIAL);
    expect(aws.previous.get(ARN)).toHaveLength(2);
    expect(aws.previous.get(ARN)?.at(-1)).not.toContain(MATERIAL);
    expect(stdout).toContain(
      'versions of the secret without a label still hold the key until AWS removes them',
    );
  });

  it('says nothing of what the service says', async () => {
    aws.secrets.set(ARN, { error: 'AccessDeniedException' });

    const result = await createCli().run(
      ['keys', 'list', '--keyset-secret', ARN, '--database-url', database.url],
      { env: aws.env() },
    );

    expect(result).toMatchObject({ exitCode: 2, stdout: '' });
    expect(result.stderr).toMatch(/^vizard: .*AccessDeniedException.*\n$/);
    expect(result.stderr).not.toContain(SERVICE_MESSAGE);
  });
});
