import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { rdsCertificates } from '../../lambda/aws/certificates.ts';
import { administratorLogin, ingestLogin } from '../../lambda/aws/login.ts';
import type { IamAddress, SecretAddress } from '../../lambda/config.ts';
import type { TlsLogin } from '../../lambda/postgres/connection.ts';
import { REGION, secretArn, useAwsServer } from '../support/aws-server.ts';
import { createAuthority } from '../support/certificates.ts';

const aws = useAwsServer();

const ARN = secretArn('administrator');
const HOST = 'logins.cluster-c1abc.eu-central-1.rds.amazonaws.com';
const IAM: IamAddress = {
  kind: 'iam',
  host: HOST,
  port: 6432,
  database: 'logins',
  user: 'vizard_writer',
  region: REGION,
};

function iamLogin(changes: Partial<IamAddress> = {}): TlsLogin {
  const login = ingestLogin({ ...IAM, ...changes });
  if (login.kind !== 'tls') throw new Error('not by TLS');
  return login;
}

async function subjects(login: TlsLogin): Promise<string[]> {
  const certificates = await login.certificates();
  return certificates.map((pem) => new X509Certificate(pem).subject);
}

describe('a login by IAM authentication', () => {
  it('is at the database of its address', () => {
    expect(iamLogin()).toMatchObject({ host: HOST, port: 6432, database: 'logins', user: 'vizard_writer' });
  });

  it('has a token for this host, port and user that is good for 15 minutes', async () => {
    const token = new URL(`https://${await iamLogin().password()}`);

    expect(token.host).toBe(`${HOST}:6432`);
    expect(Object.fromEntries(token.searchParams)).toMatchObject({
      Action: 'connect',
      DBUser: 'vizard_writer',
      'X-Amz-Expires': '900',
      'X-Amz-Credential': expect.stringMatching(/^AKIDEXAMPLE\/\d{8}\/eu-central-1\/rds-db\/aws4_request$/),
    });
  });

  it('has another token each time', async () => {
    const login = iamLogin();
    vi.useFakeTimers({ toFake: ['Date'] });
    try {
      const first = await login.password();
      vi.setSystemTime(Date.now() + 60_000);
      expect(await login.password()).not.toBe(first);
    } finally {
      vi.useRealTimers();
    }
  });

  it('trusts the authorities of RDS in its region and of RDS Proxy, and no others', async () => {
    const names = await subjects(iamLogin());

    const [proxy, regional] = [
      names.filter((name) => !name.includes('RDS')),
      names.filter((name) => name.includes('RDS')),
    ];
    expect(regional.length).toBeGreaterThanOrEqual(3);
    expect(regional.every((name) => name.includes('Amazon RDS eu-central-1 '))).toBe(true);
    expect(proxy.length).toBe(5);
    expect(proxy.every((name) => /Amazon|Starfield/.test(name))).toBe(true);
  });

  it('does not take one region for another whose name begins alike', async () => {
    const names = await subjects(iamLogin({ region: 'ap-south-1' }));

    expect(names.some((name) => name.includes('ap-south-1 '))).toBe(true);
    expect(names.filter((name) => /ap-south-2|ap-southeast/.test(name))).toEqual([]);
  });

  it.each(['us-east-1', 'us-east-2'])('trusts none of a beta or a preview in %s', async (region) => {
    const names = await subjects(iamLogin({ region }));

    expect(names.filter((name) => name.includes(` ${region} `)).length).toBeGreaterThanOrEqual(3);
    expect(names.filter((name) => /Beta|Preview/.test(name))).toEqual([]);
  });
});

describe('a region whose authorities are not known', () => {
  const REGIONS = ['il-central-1', 'ca-west-1', 'mx-central-1', 'us-gov-west-1', 'cn-north-1'];
  const directory = mkdtempSync(join(tmpdir(), 'vizard-test-'));
  const bundle = join(directory, 'ca-cert.pem');
  const authority = createAuthority('Amazon RDS of elsewhere').certificate;
  afterEach(() => rmSync(bundle, { force: true }));
  afterAll(() => rmSync(directory, { recursive: true }));

  it.each(REGIONS)('has those of Lambda itself: %s', async (region) => {
    writeFileSync(bundle, authority);

    const [first, ...rest] = await rdsCertificates(region, bundle)();

    expect(first).toBe(authority);
    expect(rest).toHaveLength(5);
  });

  it('is refused in one line where there are none, and looked at again', async () => {
    const certificates = rdsCertificates('il-central-1', bundle);

    await expect(certificates()).rejects.toThrow(
      `certificate authorities: expected those of RDS in il-central-1, got none in this version nor in ${bundle}; run it on Lambda with Node.js 20 or newer (no_certificates)`,
    );

    writeFileSync(bundle, authority);
    expect(await certificates()).toContain(authority);
  });
});

describe("the administrator's login", () => {
  const address: SecretAddress = { kind: 'secret', arn: ARN, region: REGION };
  const secret = {
    username: 'admin',
    password: 'CANARY-PASSWORD',
    host: 'secret.example',
    port: 6432,
    dbname: 'd',
  };
  const store = (value: unknown) =>
    aws.secrets.set(ARN, typeof value === 'string' ? value : JSON.stringify(value));

  it('is what the secret says', async () => {
    store(secret);

    const login = await administratorLogin(address);

    expect(login).toMatchObject({ host: 'secret.example', port: 6432, database: 'd', user: 'admin' });
    expect(await login.password()).toBe('CANARY-PASSWORD');
    expect((await login.certificates()).length).toBeGreaterThan(5);
  });

  it('is at the place that is given, before the one of the secret', async () => {
    store(secret);

    const login = await administratorLogin({ ...address, host: HOST, port: 1234, database: 'logins' });

    expect(login).toMatchObject({ host: HOST, port: 1234, database: 'logins', user: 'admin' });
  });

  it('takes the secret that RDS manages, which has a user and a password only', async () => {
    store({ username: 'admin', password: 'p' });

    const login = await administratorLogin({ ...address, host: HOST, database: 'logins' });

    expect(login).toMatchObject({ host: HOST, port: 5432, database: 'logins' });
  });

  it.each([
    ['text that is not JSON', 'CANARY', /expected a secret like .*, got other text/],
    ['an array', ['CANARY'], /expected a secret like/],
    ['no user', { ...secret, username: undefined }, /member "username" expected text, got nothing; add it$/],
    ['no password', { ...secret, password: '' }, /member "password" expected text/],
    ['no host', { ...secret, host: undefined }, /member "host" .*; add it or set DATABASE_HOST$/],
    ['no database', { ...secret, dbname: undefined }, /member "dbname" .*; add it or set DATABASE_NAME$/],
    ['a port that is none', { ...secret, port: 'CANARY' }, /member "port" expected a number/],
  ])('is refused in one line where the secret has %s', async (_name, value, message) => {
    store(value);

    const error = await administratorLogin(address).catch((error: Error) => error);

    expect(error).toMatchObject({ name: 'SecretFailure', code: 'malformed' });
    expect(String((error as Error).message)).toMatch(/^DATABASE_SECRET_ARN: [^\n]+$/);
    expect(String((error as Error).message)).toMatch(message);
    expect((error as Error).stack).not.toContain('CANARY');
  });
});
