import { beforeEach, describe, expect, it, vi } from 'vitest';
import { keysetSource } from '../../lambda/aws/keyset.ts';
import { KeysetFailure } from '../../lambda/errors.ts';
import { parseKeyset } from '../../lambda/masking/keyset.ts';
import { REGION, secretArn, useAwsServer } from '../support/aws-server.ts';
import { useDatabase } from '../support/database.ts';
import { keyset } from '../support/function.ts';
import { KEYSET_JSON, record } from '../support/records.ts';
import { useLedger } from './ledger.ts';
import { planted } from './planted.ts';

const database = useDatabase();
const aws = useAwsServer();
const { createFunction, reconcile } = useLedger(database);

const ARN = secretArn('keyset');
const material = 'CANARY'.padEnd(43, 'x');

describe('without a keyset nothing is parsed, written or acknowledged', () => {
  beforeEach(() => {
    // What was fetched is kept for five minutes.
    vi.useFakeTimers({ toFake: ['Date'] });
    return () => {
      vi.useRealTimers();
    };
  });

  it.each([
    ['is not there', undefined, 'ResourceNotFoundException', /name a secret that exists/],
    ['may not be read', { error: 'AccessDeniedException' }, 'AccessDeniedException', /allow the function/],
    ['is not answered for', null, 'ETIMEDOUT', /check that the function reaches Secrets Manager/],
    [
      'lacks its primary key',
      JSON.stringify({ primary: 'k2', k1: material }),
      'malformed',
      /member "primary" expected one of \[k1\], got "k2"$/,
    ],
  ])('where its secret %s', async (_name, secret, code, message) => {
    const source = keysetSource({ kind: 'secret', arn: ARN, region: REGION });
    const { invoke, log, reports, failures } = createFunction({
      databaseUrl: database.url,
      keysetSource: source,
    });
    const malformed = record('{}');
    if (secret !== undefined) aws.secrets.set(ARN, secret);

    await expect(invoke([...planted(3), malformed])).rejects.toThrow(message);

    expect(failures).toMatchObject([{ name: 'KeysetFailure', code }]);
    expect(log.map(({ level }) => level)).toEqual(['error']);
    expect(reports).toEqual([]);
    expect(await database.count()).toBe(0);
    aws.secrets.set(ARN, KEYSET_JSON);
    await reconcile([malformed]);
  });
});

describe('a key that is not the one which wrote the table, and has its name,', () => {
  it('fails closed before anything is written, and is named', async () => {
    let current = keyset;
    const { invoke, reports, failures } = createFunction({
      databaseUrl: database.url,
      keysetSource: async () => current,
    });
    await invoke(planted(3));

    current = parseKeyset(JSON.stringify({ primary: 'k1', k1: material }));
    const mistaken = invoke(planted(3));
    await expect(mistaken).rejects.toThrow(KeysetFailure);
    await expect(mistaken).rejects.toThrow(/^key "k1": /);

    expect(failures).toMatchObject([{ code: 'wrong_key' }]);
    expect(reports).toHaveLength(1);
    expect(await database.count()).toBe(3);
    current = keyset;
    await reconcile();
  });
});
