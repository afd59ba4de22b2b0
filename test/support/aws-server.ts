import { hash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, vi } from 'vitest';

export const REGION = 'eu-central-1';

/** As whom STS knows whoever asks, where a test says nothing else. */
export const CALLER = 'arn:aws:sts::000000000000:assumed-role/Custodian/alice';

/** An error as AWS answers it. */
export interface AwsError {
  readonly error: string;
}

/** What the services on the loopback interface know and were asked. */
export interface AwsServer {
  /** Where the SDK finds them, for a process of its own; the test's own process has it already. */
  env(): Record<string, string>;
  /** Texts by ARN. One that is missing does not exist; null never answers. */
  readonly secrets: Map<string, string | AwsError | null>;
  /** Answers of RDS by what is asked, such as `DescribeDBClusters logins`: XML inside the list, or an error. */
  readonly databases: Map<string, string | AwsError>;
  /** Texts by ARN that were put over, the last one at the end: it has the label AWSPREVIOUS. */
  readonly previous: Map<string, string[]>;
  /** As whom STS knows whoever asks, an ARN or an error. */
  readonly caller: { arn: string | AwsError };
  /** In order: `GetSecretValue <arn>`, `PutSecretValue <arn>`, `DescribeDBClusters <name>`, `GetCallerIdentity`. */
  readonly requests: string[];
}

/** Secrets Manager's JSON protocol, and the query protocol of RDS and STS, on the loopback interface, empty before each test. */
export function useAwsServer(): AwsServer {
  const secrets: AwsServer['secrets'] = new Map();
  const databases: AwsServer['databases'] = new Map();
  const previous: AwsServer['previous'] = new Map();
  const caller: AwsServer['caller'] = { arn: CALLER };
  const requests: string[] = [];
  /** Texts by ids of versions. */
  const versions = new Map<string, string>();
  /** Ids of versions by ARN. */
  const current = new Map<string, string>();
  const server = createServer(async (request, response) => {
    const body = await text(request);
    const operation = secretOperation(request);
    const answer = operation === undefined ? answerQuery(body) : answerSecret(operation, body);
    if (answer === undefined) return;
    response.writeHead(answer.status, { 'Content-Type': answer.type }).end(answer.body);
  });

  function answerSecret(operation: string, body: string): Answer | undefined {
    const request = JSON.parse(body) as SecretRequest;
    const { SecretId: arn } = request;
    requests.push(`${operation} ${arn}`);
    const secret = secrets.get(arn);
    if (secret === null) return undefined;
    if (typeof secret !== 'string') return secretError(secret?.error ?? 'ResourceNotFoundException');
    if (operation === 'GetSecretValue') {
      const VersionId = versionOf(arn, secret);
      return jsonAnswer(200, { ARN: arn, SecretString: secret, VersionId });
    }
    return put(request, secret);
  }

  function put(
    { SecretId: arn, SecretString: text, ClientRequestToken: id }: SecretRequest,
    before: string,
  ): Answer {
    const known = versions.get(`${arn} ${id}`);
    if (known !== undefined && known !== text) return secretError('ResourceExistsException');
    if (known === undefined) {
      versions.set(`${arn} ${id}`, text);
      current.set(arn, id);
      previous.set(arn, [...(previous.get(arn) ?? []), before]);
      secrets.set(arn, text);
    }
    return jsonAnswer(200, { ARN: arn, VersionId: id });
  }

  /** A text that the test has set has a version of its own. */
  function versionOf(arn: string, text: string): string {
    const id = current.get(arn);
    return id !== undefined && versions.get(`${arn} ${id}`) === text ? id : hash('sha256', text);
  }

  function answerQuery(body: string): Answer {
    return new URLSearchParams(body).get('Action') === 'GetCallerIdentity'
      ? answerIdentity()
      : answerDatabase(body);
  }

  function answerIdentity(): Answer {
    requests.push('GetCallerIdentity');
    return xmlAnswer(
      'GetCallerIdentity',
      typeof caller.arn === 'string' ? `<Arn>${caller.arn}</Arn>` : caller.arn,
    );
  }

  function answerDatabase(body: string): Answer {
    const { Action: action = '', Version: _, ...filter } = Object.fromEntries(new URLSearchParams(body));
    const asked = `${action} ${Object.values(filter).join(' ')}`;
    requests.push(asked);
    return xmlAnswer(action, databases.get(asked) ?? { error: 'AccessDenied' });
  }

  function env() {
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return {
      AWS_ENDPOINT_URL_SECRETS_MANAGER: endpoint,
      AWS_ENDPOINT_URL_RDS: endpoint,
      AWS_ENDPOINT_URL_STS: endpoint,
      AWS_REGION: REGION,
      AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
      AWS_SECRET_ACCESS_KEY: 'example',
    };
  }

  beforeAll(async () => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    for (const [name, value] of Object.entries(env())) vi.stubEnv(name, value);
  });
  beforeEach(() => {
    for (const kept of [secrets, databases, previous, versions, current]) kept.clear();
    caller.arn = CALLER;
    requests.length = 0;
  });
  afterAll(() => {
    vi.unstubAllEnvs();
    server.closeAllConnections();
    server.close();
  });
  return { env, secrets, databases, previous, caller, requests };
}

/** Of every error that a service answers; nobody may repeat it. */
export const SERVICE_MESSAGE = 'CANARY-SERVICE says no';

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

interface SecretRequest {
  readonly SecretId: string;
  readonly SecretString: string;
  readonly ClientRequestToken: string;
}

/** @returns undefined for another service */
function secretOperation({ headers }: IncomingMessage): string | undefined {
  return /^secretsmanager\.(\w+)$/.exec(String(headers['x-amz-target']))?.[1];
}

function jsonAnswer(status: number, body: unknown): Answer {
  return { status, type: 'application/x-amz-json-1.1', body: JSON.stringify(body) };
}

function secretError(error: string): Answer {
  return jsonAnswer(400, { __type: error, message: SERVICE_MESSAGE });
}

/** @param result XML inside the result, or an error */
function xmlAnswer(action: string, result: string | AwsError): Answer {
  const type = 'text/xml';
  if (typeof result === 'string') {
    const body = `<${action}Response><${action}Result>${result}</${action}Result></${action}Response>`;
    return { status: 200, type, body };
  }
  const error = `<Error><Type>Sender</Type><Code>${result.error}</Code><Message>${SERVICE_MESSAGE}</Message></Error>`;
  return { status: 400, type, body: `<ErrorResponse>${error}</ErrorResponse>` };
}

export function secretArn(name: string): string {
  return `arn:aws:secretsmanager:${REGION}:000000000000:secret:${name}-Ab12Cd`;
}
