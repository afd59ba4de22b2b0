import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, vi } from 'vitest';

export const REGION = 'eu-central-1';

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
  /** In order: `GetSecretValue <arn>`, `DescribeDBClusters <name>`. */
  readonly requests: string[];
}

/** Secrets Manager's JSON protocol and RDS's query protocol on the loopback interface, empty before each test. */
export function useAwsServer(): AwsServer {
  const secrets: AwsServer['secrets'] = new Map();
  const databases: AwsServer['databases'] = new Map();
  const requests: string[] = [];
  const server = createServer(async (request, response) => {
    const body = await text(request);
    const answer = isSecretsManager(request) ? answerSecret(body) : answerDatabase(body);
    if (answer === undefined) return;
    response.writeHead(answer.status, { 'Content-Type': answer.type }).end(answer.body);
  });

  function answerSecret(body: string): Answer | undefined {
    const { SecretId: arn } = JSON.parse(body) as { SecretId: string };
    requests.push(`GetSecretValue ${arn}`);
    const secret = secrets.get(arn);
    if (secret === null) return undefined;
    const type = 'application/x-amz-json-1.1';
    if (typeof secret === 'string') {
      return { status: 200, type, body: JSON.stringify({ ARN: arn, SecretString: secret }) };
    }
    const error = secret?.error ?? 'ResourceNotFoundException';
    return { status: 400, type, body: JSON.stringify({ __type: error, message: SERVICE_MESSAGE }) };
  }

  function answerDatabase(body: string): Answer {
    const { Action: action = '', Version: _, ...filter } = Object.fromEntries(new URLSearchParams(body));
    const asked = `${action} ${Object.values(filter).join(' ')}`;
    requests.push(asked);
    const found = databases.get(asked);
    if (typeof found === 'string') {
      const result = `<${action}Result>${found}</${action}Result>`;
      return { status: 200, type: 'text/xml', body: `<${action}Response>${result}</${action}Response>` };
    }
    const code = found?.error ?? 'AccessDenied';
    const error = `<Error><Type>Sender</Type><Code>${code}</Code><Message>${SERVICE_MESSAGE}</Message></Error>`;
    return { status: 400, type: 'text/xml', body: `<ErrorResponse>${error}</ErrorResponse>` };
  }

  function env() {
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return {
      AWS_ENDPOINT_URL_SECRETS_MANAGER: endpoint,
      AWS_ENDPOINT_URL_RDS: endpoint,
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
    for (const kept of [secrets, databases]) kept.clear();
    requests.length = 0;
  });
  afterAll(() => {
    vi.unstubAllEnvs();
    server.closeAllConnections();
    server.close();
  });
  return { env, secrets, databases, requests };
}

/** Of every error that a service answers; nobody may repeat it. */
export const SERVICE_MESSAGE = 'CANARY-SERVICE says no';

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

function isSecretsManager({ headers }: IncomingMessage): boolean {
  return headers['x-amz-target'] === 'secretsmanager.GetSecretValue';
}

export function secretArn(name: string): string {
  return `arn:aws:secretsmanager:${REGION}:000000000000:secret:${name}-Ab12Cd`;
}
