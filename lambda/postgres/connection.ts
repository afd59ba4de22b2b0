import { Client, type ClientBase, type ClientConfig, Pool, type PoolClient } from 'pg';
import type { Deadline } from '../deadline.ts';
import { DatabaseFailure } from '../errors.ts';
import { errorCode, isDatabaseFault } from './sqlstate.ts';

/** By a URL, which names its own user and says whether it wants TLS. */
export interface UrlLogin {
  readonly kind: 'url';
  readonly url: string;
}

/** By TLS to a server that proves its name (libpq's verify-full). */
export interface TlsLogin {
  readonly kind: 'tls';
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  /** Asked for each new connection. */
  readonly password: () => Promise<string>;
  /** The certificate authorities to trust, as PEM, and no others. */
  readonly certificates: () => Promise<readonly string[]>;
}

/** How to log in to a database. */
export type Login = UrlLogin | TlsLogin;

/** A connection for the time of one piece of work. */
export interface Database {
  /**
   * Runs work on the pooled connection. The connection goes back to the pool when the work succeeds and is closed
   * when it fails or the deadline passes, so that no later invocation meets what is left of it.
   */
  use<T>(deadline: Deadline, work: (client: PoolClient) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** Longer than an Aurora cluster takes to resume from zero capacity, 15-30 s. */
const CONNECT_TIMEOUT = 35_000;
/** How long after the deadline a statement that the server did not cancel is cut off. */
const GRACE = 250;

/**
 * A pool of one connection: a Lambda environment runs one invocation at a time.
 *
 * @param onIdleError told the code when the idle connection dies; without a listener that ends the process
 */
export function openDatabase(login: Login, onIdleError: (code: string) => void): Database {
  let opening: Promise<Pool> | undefined;

  return {
    async use(deadline, work) {
      opening ??= openPool(login, onIdleError);
      const pool = await opening;
      // Ends with the invocation: an attempt that hangs must not keep the pool's only place from the next one.
      pool.options.connectionTimeoutMillis = Math.max(1, Math.min(CONNECT_TIMEOUT, deadline.remaining()));
      // Not left to pg, which keeps a connection open for whose password it asked in vain.
      if (login.kind === 'tls' && pool.idleCount === 0) pool.options.password = await login.password();
      const client = await pool.connect();
      // The pool does not listen while the client is out, and the statement that waits is told as well.
      client.on('error', ignore);
      let released = false;
      const release = (evict: boolean) => {
        if (released) return;
        released = true;
        client.release(evict);
        client.off('error', ignore);
      };
      // Closing the socket rejects whatever waits for the server.
      const cut = setTimeout(() => {
        client.connection.stream.destroy();
        release(true);
      }, deadline.remaining() + GRACE);
      try {
        const result = await work(client);
        release(false);
        return result;
      } finally {
        clearTimeout(cut);
        release(true);
      }
    },
    async close() {
      await (await opening)?.end();
    },
  };
}

async function openPool(login: Login, onIdleError: (code: string) => void): Promise<Pool> {
  const pool = new Pool({
    ...(await clientConfig(login)),
    max: 1,
    // Timers do not run while the environment is frozen, and a warm connection is what we want to keep.
    idleTimeoutMillis: 0,
    keepAlive: true,
  });
  pool.on('error', (error) => onIdleError(errorCode(error)));
  return pool;
}

async function clientConfig(login: Login): Promise<ClientConfig> {
  const application_name = 'vizard';
  if (login.kind === 'url') return { connectionString: login.url, application_name };
  const { host, port, database, user } = login;
  // pg adds the name that the certificate has to be for.
  const ssl = { ca: [...(await login.certificates())], rejectUnauthorized: true };
  return { host, port, database, user, password: '', ssl, application_name };
}

function ignore(): void {}

/** Milliseconds that a person waits for a connection. */
const PATIENCE = 10_000;

/**
 * Runs work on a connection of its own, for what happens once: the migration, a look at the table.
 *
 * @param patience milliseconds to wait for the connection
 * @throws DatabaseFailure in place of pg's own errors, whose detail may quote a row
 */
export async function withClient<T>(
  login: Login,
  work: (client: ClientBase) => Promise<T>,
  patience = PATIENCE,
): Promise<T> {
  const password = login.kind === 'tls' ? { password: await login.password() } : {};
  const client = new Client({
    ...(await clientConfig(login)),
    ...password,
    connectionTimeoutMillis: patience,
  });
  // The statement that waits is told as well; without a listener the process would end.
  client.on('error', ignore);
  try {
    await client.connect();
    return await work(client);
  } catch (error) {
    throw isDatabaseFault(error)
      ? new DatabaseFailure('the database cannot be used', errorCode(error))
      : error;
  } finally {
    await client.end();
  }
}
