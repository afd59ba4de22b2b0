import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import type { SQSBatchResponse, SQSRecord } from 'aws-lambda';
import { afterAll, afterEach, beforeAll, expect, inject, vi } from 'vitest';
import { VizardError } from '../../lambda/errors.ts';
import { type AwsServer, secretArn } from '../support/aws-server.ts';
import type { TestDatabase } from '../support/database.ts';
import { type LambdaProcess, type LambdaRun, startEntryPoint } from '../support/lambda-process.ts';
import { KEYSET_JSON } from '../support/records.ts';
import { tlsLogin } from '../support/tls.ts';
import type { Gauge, LongLifeEnv, Question } from './long-life-function.ts';

export const PASSWORD_ARN = secretArn('password');
export const KEYSET_ARN = secretArn('keyset');

/** A process with the function, which can be frozen. */
export interface LongLife {
  /** @throws VizardError with the name and the message of what the function threw */
  invoke(batch: readonly SQSRecord[], options?: { readonly milliseconds?: number }): Promise<string[]>;
  /** Milliseconds, by the process's own clock. */
  time(): Promise<number>;
  gauge(): Promise<Gauge>;
  /** Stops the process, and when the work is done lets it go on, ten minutes later by its clock. */
  whileFrozen(work: () => Promise<void>): Promise<void>;
  end(): Promise<LambdaRun>;
}

export interface LongLives {
  start(): LongLife;
  /** What the server takes for a new connection from now on, and the process is given. */
  setPassword(text: string): Promise<void>;
}

/** Milliseconds of an invocation, where nothing else is said. */
const TIME = 60_000;

/** Processes that log in to the database by TLS as a role of their own. What a test leaves running is ended. */
export function useLongLives(database: TestDatabase, aws: AwsServer): LongLives {
  const user = `iam_${randomBytes(4).toString('hex')}`;
  const started: LambdaProcess[] = [];
  beforeAll(async () => {
    await database.client.query(
      `CREATE ROLE ${user} LOGIN IN ROLE pg_read_all_stats;
       GRANT ALL ON ALL TABLES IN SCHEMA public TO ${user}`,
    );
  });
  afterEach(() => {
    for (const { signal } of started.splice(0)) signal('SIGKILL');
  });
  afterAll(async () => {
    await database.client.query(`DROP OWNED BY ${user}; DROP ROLE ${user}`);
  });

  function start(): LongLife {
    aws.secrets.set(KEYSET_ARN, KEYSET_JSON);
    const env: LongLifeEnv = {
      LOGIN: JSON.stringify(tlsLogin(database.url, { user })),
      PASSWORD_ARN,
      KEYSET_ARN,
      CERTIFICATE_AUTHORITY: inject('certificateAuthority'),
    };
    const entryPoint = new URL('long-life-function.ts', import.meta.url);
    const child = startEntryPoint(entryPoint, { ...aws.env(), ...env, NODE_OPTIONS: '--expose-gc' }, TIME);
    started.push(child);
    return lifeOf(child);
  }

  async function setPassword(text: string): Promise<void> {
    await database.client.query(`ALTER ROLE ${user} PASSWORD '${text}'`);
    aws.secrets.set(PASSWORD_ARN, text);
  }

  return { start, setPassword };
}

function lifeOf({ pid, signal, invoke, end }: LambdaProcess): LongLife {
  async function answer(event: { Records: readonly SQSRecord[] } | Question, milliseconds = TIME) {
    const line = await invoke(event, milliseconds);
    if (line === undefined) throw new Error('the process has ended');
    if ('response' in line) return line.response;
    throw Object.assign(new VizardError(String(line.errorMessage)), { name: line.errorType });
  }

  return {
    async invoke(batch, { milliseconds } = {}) {
      const { batchItemFailures } = (await answer({ Records: batch }, milliseconds)) as SQSBatchResponse;
      return batchItemFailures.map(({ itemIdentifier }) => itemIdentifier);
    },
    time: async () => (await answer({ ask: 'time' })) as number,
    gauge: async () => (await answer({ ask: 'gauge' })) as Gauge,
    async whileFrozen(work) {
      signal('SIGSTOP');
      try {
        await vi.waitFor(() => expect(stateOf(pid)).toMatch(/^T/));
        await work();
      } finally {
        signal('SIGCONT');
      }
    },
    end,
  };
}

/** Of a process, as ps has it: T where it is stopped. */
function stateOf(pid: number): string {
  return execFileSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' });
}

/** How many sessions processes have with the database. */
export async function sessionsOf({ rows }: Pick<TestDatabase, 'rows'>): Promise<number> {
  const sessions = await rows(
    `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'vizard'`,
  );
  return sessions.length;
}
