import type { SecureContext } from 'node:tls';
import { Client, type ClientBase, type ClientConfig, Pool, type PoolClient } from 'pg';
import { type Deadline, NO_DEADLINE } from '../deadline.ts';
import { DatabaseFailure, LoginFailure, VizardError } from '../errors.ts';
import { errorCode, isDatabaseFault } from './sqlstate.ts';

/** A connection that somebody else opens and closes. Only this folder imports pg. */
export type { ClientBase as DatabaseClient } from 'pg';

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
  /** The certificate authorities to trust, as PEM, and no others. Asked for each new connection. */
  readonly certificates: () => Promise<readonly string[]>;
}

/** How to log in to a database. */
export type Login = UrlLogin | TlsLogin;

/** A connection for the time of one piece of work. */
export interface Database {
  /**
   * Begins to connect where there is no connection, so that a `use` soon after need not wait as long. What it fails with
   * is thrown by that `use`.
   */
  prepare(deadline: Deadline): void;
  /**
   * Runs work on the pooled connection. The connection goes back to the pool when the work succeeds and is closed
   * when it fails or the deadline passes, so that no later invocation meets what is left of it.
   */
  use<T>(deadline: Deadline, work: (client: PoolClient) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** Longer than an Aurora cluster takes to resume from zero capacity, 15-30 s. Milliseconds. */
export const RESUME_TIME = 35_000;
/** How long after the deadline what did not end by itself is cut off. Milliseconds. */
const GRACE = 250;

/**
 * A pool of one connection: a Lambda environment runs one invocation at a time.
 *
 * @param onIdleError told the code when the idle connection dies; without a listener that ends the process
 */
export function openDatabase(login: Login, onIdleError: (code: string) => void): Database {
  const pool = openPool(login, onIdleError);
  if (login.kind === 'tls') parseAhead(login).catch(ignore);
  /** The connection that was begun before it is used. */
  let begun: Promise<void> | undefined;

  async function connect(deadline: Deadline): Promise<PoolClient> {
    if (pool.idleCount === 0) Object.assign(pool.options, await within(deadline, () => proofs(login)));
    // Ends with the invocation: an attempt that hangs must not keep the pool's only place from the next one.
    pool.options.connectionTimeoutMillis = Math.max(1, Math.min(RESUME_TIME, deadline.remaining()));
    return pool.connect();
  }

  return {
    prepare(deadline) {
      if (pool.totalCount > 0) return;
      begun = connect(deadline).then((client) => client.release());
      begun.catch(ignore);
    },
    async use(deadline, work) {
      const before = begun;
      begun = undefined;
      // It ends by itself, but that of an earlier invocation may take longer than this one has.
      if (before !== undefined) await within(deadline, () => before, GRACE);
      const client = await connect(deadline);
      let released = false;
      const release = (evict: boolean) => {
        if (released) return;
        released = true;
        client.release(evict);
      };
      const cut = cutAfter(deadline, client, () => release(true));
      try {
        const result = await work(client);
        release(false);
        return result;
      } finally {
        clearTimeout(cut);
        release(true);
      }
    },
    close: () => pool.end(),
  };
}

function openPool(login: Login, onIdleError: (code: string) => void): Pool {
  const pool = new Pool({
    ...clientConfig(login),
    max: 1,
    // Timers do not run while the environment is frozen, and a warm connection is what we want to keep.
    idleTimeoutMillis: 0,
    keepAlive: true,
  });
  pool.on('error', (error) => onIdleError(errorCode(error)));
  // The pool does not listen while the client is out, and the statement that waits is told as well.
  pool.on('connect', (client) => client.on('error', ignore));
  return pool;
}

function clientConfig(login: Login): ClientConfig {
  const application_name = 'vizard';
  if (login.kind === 'url') return { connectionString: login.url, application_name };
  const { host, port, database, user } = login;
  // In the pool's options a password is hidden from inspection only where it began with one.
  return { host, port, database, user, password: '', application_name };
}

/**
 * What each new connection needs to prove who is who. Not left to pg, which keeps a connection open for whose password it
 * asked in vain.
 */
async function proofs(login: Login): Promise<Pick<ClientConfig, 'password' | 'ssl'>> {
  if (login.kind === 'url') return {};
  const [password, certificates] = await Promise.all([login.password(), certificatesOf(login)]);
  // pg adds the name that the certificate has to be for.
  return { password, ssl: { secureContext: contextOf(certificates), rejectUnauthorized: true } };
}

/** Before there is an invocation that would have to wait. What fails is tried again for each connection. */
async function parseAhead(login: TlsLogin): Promise<void> {
  // Not while modules are still being loaded.
  await Promise.resolve();
  contextOf(await login.certificates());
}

const contexts = new WeakMap<readonly string[], SecureContext>();

/** Certificates are parsed once for all connections that trust them. */
function contextOf(certificates: readonly string[]): SecureContext {
  const known = contexts.get(certificates);
  if (known !== undefined) return known;
  const { createSecureContext } = process.getBuiltinModule('node:tls');
  const context = createSecureContext({ ca: [...certificates] });
  contexts.set(certificates, context);
  return context;
}

async function certificatesOf({ certificates }: TlsLogin): Promise<readonly string[]> {
  try {
    return await certificates();
  } catch (error) {
    if (error instanceof VizardError) throw error;
    throw new LoginFailure(
      'the certificate authorities of the database cannot be loaded',
      errorCode(error, 'unknown'),
    );
  }
}

/**
 * @param grace milliseconds after the deadline; timers may be early by one
 * @throws Error as of a connection that timed out
 */
async function within<T>(deadline: Deadline, work: () => Promise<T>, grace = 1): Promise<T> {
  const remaining = deadline.remaining();
  if (remaining === Infinity) return work();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    const error = Object.assign(new Error('no password or certificates in time'), { code: 'ETIMEDOUT' });
    timer = setTimeout(() => reject(error), remaining + grace);
  });
  try {
    return await Promise.race([work(), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Closes the socket a little after the deadline, which rejects whatever waits for the server. */
function cutAfter(
  deadline: Deadline,
  client: Pick<Client, 'connection'>,
  afterwards: () => void,
): NodeJS.Timeout | undefined {
  const remaining = deadline.remaining();
  if (remaining === Infinity) return undefined;
  return setTimeout(() => {
    client.connection.stream.destroy();
    afterwards();
  }, remaining + GRACE);
}

function ignore(): void {}

/**
 * For a session whose answer is wrong where it lacks a row: what row level security would hide fails then (42501). By a
 * statement, because a pooler may not take it at the start.
 */
export const ALL_ROWS = 'SET row_security = off';

/** Milliseconds that a person waits for a connection. */
const PATIENCE = 10_000;

export interface ClientLimits {
  /** Milliseconds to wait for the connection. @default 10000 */
  readonly patience?: number;
  /** When all of it has to be over. @default - no limit */
  readonly deadline?: Deadline;
}

/**
 * Runs work on a connection of its own, for what happens once: the migration, a look at the table.
 *
 * @throws DatabaseFailure in place of pg's own errors, whose detail may quote a row
 */
export async function withClient<T>(
  login: Login,
  work: (client: ClientBase) => Promise<T>,
  { patience = PATIENCE, deadline = NO_DEADLINE }: ClientLimits = {},
): Promise<T> {
  try {
    const start = performance.now();
    const connected: Deadline = {
      remaining: () => Math.max(0, Math.min(start + patience - performance.now(), deadline.remaining())),
    };
    const secrets = await within(connected, () => proofs(login));
    const connectionTimeoutMillis = Math.max(1, connected.remaining());
    const client = new Client({ ...clientConfig(login), ...secrets, connectionTimeoutMillis });
    return await useClient(client, () => work(client), deadline);
  } catch (error) {
    throw isDatabaseFault(error)
      ? new DatabaseFailure('the database cannot be used', errorCode(error))
      : error;
  }
}

async function useClient<T>(client: Client, work: () => Promise<T>, deadline: Deadline): Promise<T> {
  // The statement that waits is told as well; without a listener the process would end.
  client.on('error', ignore);
  let cut: NodeJS.Timeout | undefined;
  try {
    await client.connect();
    cut = cutAfter(deadline, client, ignore);
    return await work();
  } finally {
    clearTimeout(cut);
    await client.end();
  }
}
