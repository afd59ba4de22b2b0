import type { IamAddress, SecretAddress, UrlAddress } from '../config.ts';
import { LoginFailure, SecretFailure } from '../errors.ts';
import { ENV } from '../names.ts';
import type { Login, TlsLogin } from '../postgres/connection.ts';
import { rdsCertificates } from './certificates.ts';
import { madeAhead } from './once-made.ts';
import { awsErrorCode } from './sdk.ts';
import { openSecrets } from './secrets.ts';

/** How the ingest logs in: by URL as it stands there, on RDS with an IAM token for each connection. */
export function ingestLogin(address: UrlAddress | IamAddress): Login {
  if (address.kind === 'url') return address;
  const { host, port, database, user, region } = address;
  const signer = madeAhead(() => import('@aws-sdk/rds-signer'));
  return {
    kind: 'tls',
    host,
    port,
    database,
    user,
    password: () => iamToken(address, signer),
    certificates: rdsCertificates(region),
  };
}

/**
 * A token that takes the place of the password for 15 minutes. It is signed here, without a call.
 *
 * @throws LoginFailure where there are no credentials to sign with
 */
async function iamToken(
  { host, port, user, region }: IamAddress,
  signer: () => Promise<typeof import('@aws-sdk/rds-signer')>,
): Promise<string> {
  try {
    const { Signer } = await signer();
    return await new Signer({ hostname: host, port, username: user, region }).getAuthToken();
  } catch (error) {
    throw new LoginFailure('no token for IAM authentication; give the function a role', awsErrorCode(error));
  }
}

/**
 * How the administrator logs in whose secret RDS keeps, or somebody else in its form.
 *
 * @throws SecretFailure where the secret can't be read or lacks something
 */
export async function administratorLogin(address: SecretAddress): Promise<TlsLogin> {
  const text = await openSecrets(address.region).read(address.arn, ENV.databaseSecretArn);
  const secret = parseSecret(text);
  const { host = member(secret, 'host'), database = member(secret, 'dbname') } = address;
  const password = member(secret, 'password') ?? missing('password');
  return {
    kind: 'tls',
    host: host ?? missing('host', ENV.databaseHost),
    port: address.port ?? portOf(secret),
    database: database ?? missing('dbname', ENV.databaseName),
    user: member(secret, 'username') ?? missing('username'),
    password: () => Promise.resolve(password),
    certificates: rdsCertificates(address.region),
  };
}

type SecretMembers = Readonly<Record<string, unknown>>;

function parseSecret(text: string): SecretMembers {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  } catch {
    // The parser's message quotes the secret.
  }
  throw new SecretFailure(
    `${ENV.databaseSecretArn}: expected a secret like {"username":"…","password":"…"}, got other text; store JSON`,
    'malformed',
  );
}

function member(secret: SecretMembers, name: string): string | undefined {
  const value = secret[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** RDS writes a number, people write text. */
function portOf({ port = 5432 }: SecretMembers): number {
  const number = Number(port);
  if (Number.isInteger(number) && number >= 1 && number <= 65_535) return number;
  throw new SecretFailure(
    `${ENV.databaseSecretArn}: member "port" expected a number from 1 to 65535, got a ${typeof port} of another kind; mend it or set ${ENV.databasePort}`,
    'malformed',
  );
}

function missing(name: string, variable?: string): never {
  throw new SecretFailure(
    `${ENV.databaseSecretArn}: member "${name}" expected text, got nothing; add it${variable === undefined ? '' : ` or set ${variable}`}`,
    'malformed',
  );
}
