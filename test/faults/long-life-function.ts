/**
 * lambda/handler.ts with a login as on AWS, for a process of its own: by TLS, its password asked for at each connection
 * as a token is, its keyset from Secrets Manager. It also answers what time it is there, and what the process holds.
 */
import './long-life-clock.ts';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { Logger } from '@aws-lambda-powertools/logger';
import type { SQSEvent } from 'aws-lambda';
import { Client } from 'pg';
import { keysetSource } from '../../lambda/aws/keyset.ts';
import { openSecrets } from '../../lambda/aws/secrets.ts';
import type { InvocationClock } from '../../lambda/deadline.ts';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { createFunction } from '../../lambda/function.ts';
import { createMetrics } from '../../lambda/metrics.ts';
import type { TlsLogin } from '../../lambda/postgres/connection.ts';

/** What the test passes on. */
export interface LongLifeEnv {
  readonly LOGIN: string;
  readonly PASSWORD_ARN: string;
  readonly KEYSET_ARN: string;
  readonly CERTIFICATE_AUTHORITY: string;
}

/** What the process and its connection hold between two invocations, after the garbage collection. */
export interface Gauge {
  /** Bytes. */
  readonly heap: number;
  readonly external: number;
  readonly resident: number;
  /** What would keep the process alive, by kind. */
  readonly resources: Readonly<Record<string, number>>;
  /** Listeners of the pooled client, its connection and its socket. */
  readonly listeners: number;
  /** Of the server's session; its memory in bytes. */
  readonly preparedStatements: number;
  readonly session: number;
}

// V8 drops code that was not run for a while, which would hide that something else grows.
setFlagsFromString('--no-flush-bytecode');

const env = process.env as unknown as LongLifeEnv & { readonly AWS_REGION: string };
const secrets = openSecrets(env.AWS_REGION);
const login: TlsLogin = {
  ...(JSON.parse(env.LOGIN) as Pick<TlsLogin, 'kind' | 'host' | 'port' | 'database' | 'user'>),
  password: () => secrets.read(env.PASSWORD_ARN, 'PASSWORD_ARN', { fresh: true }),
  certificates: () => Promise.resolve([env.CERTIFICATE_AUTHORITY]),
};
const keyset = keysetSource({ kind: 'secret', arn: env.KEYSET_ARN, region: env.AWS_REGION });
const { handler: ingest } = createFunction(
  loginEvents,
  { login, keyset, masking: 'recoverable' },
  new Logger(),
  createMetrics(),
);

/** The pool does not show its client. */
let pooled: Client | undefined;
const { connect } = Client.prototype;
Client.prototype.connect = function (this: Client, ...args: []) {
  pooled = this;
  return Reflect.apply(connect, this, args);
};

async function gauge(client: Client): Promise<Gauge> {
  const { rows } = await client.query<Pick<Gauge, 'preparedStatements' | 'session'>>(
    `SELECT (SELECT count(*)::int FROM pg_prepared_statements) AS "preparedStatements",
       (SELECT sum(total_bytes)::int FROM pg_backend_memory_contexts) AS session`,
  );
  // What is freed with the first may free more.
  for (let i = 0; i < 3; i++) {
    await nextTurn();
    globalThis.gc!();
  }
  const { heapUsed, external, rss } = process.memoryUsage();
  const resources = Map.groupBy(process.getActiveResourcesInfo(), (kind) => kind);
  const emitters = [client, client.connection, client.connection.stream];
  const listeners = emitters.flatMap((emitter) =>
    emitter.eventNames().map((name) => emitter.listenerCount(name)),
  );
  return {
    ...rows[0]!,
    heap: heapUsed,
    external,
    resident: rss,
    resources: Object.fromEntries([...resources].map(([kind, { length }]) => [kind, length])),
    listeners: listeners.reduce((sum, count) => sum + count, 0),
  };
}

export type Question = { readonly ask: 'time' | 'gauge' };

export async function handler(event: SQSEvent | Question, context: InvocationClock): Promise<unknown> {
  if (!('ask' in event)) return ingest(event, context);
  return event.ask === 'time' ? Date.now() : gauge(pooled!);
}
