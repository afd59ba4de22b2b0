import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import { afterAll, beforeAll, describe, expect, inject, it, vi } from 'vitest';
import { DatabaseFailure, KeysetFailure, LoginFailure } from '../../lambda/errors.ts';
import { loginEvents } from '../../lambda/events/login-event.ts';
import { createFunction as createIngest } from '../../lambda/function.ts';
import type { Keyset } from '../../lambda/masking/keyset.ts';
import { runMigration } from '../../lambda/migration.ts';
import { type TlsLogin, withClient } from '../../lambda/postgres/connection.ts';
import { createAuthority } from '../support/certificates.ts';
import { useDatabase } from '../support/database.ts';
import { keyset, useFunctions } from '../support/function.ts';
import { memoryLog } from '../support/log.ts';
import { HOSTNAME } from '../support/postgres-server.ts';
import { records } from '../support/records.ts';
import { tlsLogin } from '../support/tls.ts';

const database = useDatabase();
const createFunction = useFunctions();

describe('a login by TLS', () => {
  it('is encrypted, with a server that proves its name', async () => {
    const ssl = await withClient(tlsLogin(database.url), (client) =>
      client.query('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()'),
    );

    expect(ssl.rows).toEqual([{ ssl: true }]);
  });

  it.each([
    [
      'whose authority is another',
      { certificates: async () => [createAuthority('Vizard Test CA').certificate] },
      /^(UNABLE_TO_VERIFY_LEAF_SIGNATURE|CERT_SIGNATURE_FAILURE)$/,
    ],
    ['whose certificate is for another name', { host: '127.0.0.1' }, /^ERR_TLS_CERT_ALTNAME_INVALID$/],
  ])('refuses a server %s', async (_name, changes, code) => {
    const refused = withClient(tlsLogin(database.url, changes), async () => undefined);

    await expect(refused).rejects.toThrow(DatabaseFailure);
    await expect(refused).rejects.toMatchObject({ code: expect.stringMatching(code) });
  });
});

describe('an authority that Node itself trusts', () => {
  const directory = mkdtempSync(join(tmpdir(), 'vizard-test-'));
  const file = join(directory, 'extra.pem');
  beforeAll(() => writeFileSync(file, inject('certificateAuthority')));
  afterAll(() => rmSync(directory, { recursive: true }));

  /** @returns the code of the refusal, or `connected` */
  function connectTrusting(certificates: readonly string[] | undefined): string {
    const { port, username, password } = new URL(database.url);
    const script = `
      const { withClient } = await import(process.env.CONNECTION);
      const { certificates, ...place } = JSON.parse(process.env.LOGIN);
      const login = { ...place, kind: 'tls', password: async () => process.env.PASSWORD, certificates: async () => certificates };
      await withClient(login, async () => console.log('connected')).catch(({ code }) => console.log(code));`;
    const login = { host: HOSTNAME, port: Number(port), database: 'postgres', user: username, certificates };
    const env = {
      NODE_EXTRA_CA_CERTS: file,
      CONNECTION: new URL('../../lambda/postgres/connection.ts', import.meta.url).href,
      LOGIN: JSON.stringify(login),
      PASSWORD: password,
    };
    const args = ['--input-type=module', '-e', script];
    return execFileSync(process.execPath, args, { env, encoding: 'utf8', timeout: 20_000 }).trim();
  }

  it.each([
    ['that one', () => [inject('certificateAuthority')], /^connected$/],
    ['another', () => [createAuthority('Another CA').certificate], /^UNABLE_TO_VERIFY_LEAF_SIGNATURE$/],
    ['none', () => [], /^UNABLE_TO_VERIFY_LEAF_SIGNATURE$/],
  ])('counts only where it is asked for: %s', (_name, certificates, outcome) => {
    expect(connectTrusting(certificates())).toMatch(outcome);
  });
});

describe('what a login needs', () => {
  const ids = (batch: readonly { readonly messageId: string }[]) => batch.map(({ messageId }) => messageId);

  it.each([
    ['a password', 'never comes', { password: () => new Promise<never>(() => {}) }],
    ['a certificate', 'never comes', { certificates: () => new Promise<never>(() => {}) }],
  ])('%s that %s ends with the invocation, and the next one is well', async (_name, _how, never) => {
    let login: Partial<TlsLogin> = never;
    const given = tlsLogin(database.url);
    const { invoke, reports } = createFunction({
      login: {
        ...given,
        password: () => (login.password ?? given.password)(),
        certificates: () => (login.certificates ?? given.certificates)(),
      },
    });
    const batch = records(2);
    const start = performance.now();

    expect(await invoke(batch, { milliseconds: 1_500 })).toEqual(ids(batch));

    expect(performance.now() - start).toBeLessThan(1_500);
    expect(reports).toMatchObject([{ unreachable: 'ETIMEDOUT' }]);
    login = {};
    expect(await invoke(batch)).toEqual([]);
  });

  it('and comes slowly leaves the connection only the rest of the time', async () => {
    const sockets = new Set<Socket>();
    const silent = createServer((socket) => sockets.add(socket)).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo;
    const password = () => new Promise<string>((resolve) => setTimeout(resolve, 600, 'slow'));
    const { invoke } = createFunction({
      login: tlsLogin(database.url, { host: '127.0.0.1', port, password }),
    });
    const batch = records(2);
    const start = performance.now();

    expect(await invoke(batch, { milliseconds: 2_000 })).toEqual(ids(batch));

    expect(performance.now() - start).toBeLessThan(1_500);
    for (const socket of sockets) socket.destroy();
    silent.close();
  });

  it('is asked for again when certificates could not be had, and the failure says so', async () => {
    let broken = true;
    const { log } = memoryLog();
    const given = tlsLogin(database.url);
    const certificates = () => (broken ? Promise.reject(new Error('CANARY')) : given.certificates());
    const login = { ...given, certificates };
    const { handler, close } = createIngest(
      loginEvents,
      { login, keyset: async () => keyset, masking: 'recoverable' },
      log,
    );
    const invoke = () => handler({ Records: records(2) }, { getRemainingTimeInMillis: () => 10_000 });
    try {
      await expect(invoke()).rejects.toThrow(
        /^the certificate authorities of the database cannot be loaded \(unknown\)$/,
      );
      broken = false;
      expect(await invoke()).toEqual({ batchItemFailures: [] });
    } finally {
      await close();
    }
  });

  it('and is not to be had fails the batch with its own reason', async () => {
    const password = () => Promise.reject(new DatabaseFailure('no token', 'CredentialsProviderError'));
    const { invoke } = createFunction({ login: tlsLogin(database.url, { password }) });

    await expect(invoke(records(2))).rejects.toThrow('no token (CredentialsProviderError)');
  });

  it('and is not to be had does not keep the function from being closed', async () => {
    const certificates = () => Promise.reject(new Error('never'));
    const { handler, close } = createIngest(
      loginEvents,
      { login: tlsLogin(database.url, { certificates }), keyset: async () => keyset, masking: 'recoverable' },
      memoryLog().log,
    );
    await handler({ Records: records(1) }, { getRemainingTimeInMillis: () => 10_000 }).catch(() => {});

    await expect(close()).resolves.toBeUndefined();
  });

  it.each(['token', 'certificates'])('and is missing is what the migration says: %s', async (thing) => {
    const fail = () => Promise.reject(new LoginFailure(`no ${thing}`, 'why'));
    const login = tlsLogin(database.url, thing === 'token' ? { password: fail } : { certificates: fail });

    await expect(runMigration(loginEvents, { login }, memoryLog().log)).rejects.toThrow(`no ${thing} (why)`);
  });
});

describe('a connection', () => {
  /** Its passwords are counted. */
  function countedLogin() {
    const given = tlsLogin(database.url);
    const asked = { passwords: 0 };
    const password = () => {
      asked.passwords++;
      return given.password();
    };
    return { asked, login: { ...given, password } };
  }

  async function untilConnected(): Promise<void> {
    const idle = `SELECT FROM pg_stat_activity
      WHERE application_name = 'vizard' AND state = 'idle' AND datname = current_database()`;
    await vi.waitFor(async () => expect(await database.rows(idle)).toHaveLength(1), 10_000);
  }

  it('is there before the keyset is, and is the one that the batch is written on', async () => {
    const { asked, login } = countedLogin();
    const keysets = Promise.withResolvers<Keyset>();
    const { invoke } = createFunction({ login, keysetSource: () => keysets.promise });

    const invocation = invoke(records(2));
    await untilConnected();
    keysets.resolve(keyset);

    expect(await invocation).toEqual([]);
    expect(asked.passwords).toBe(1);
  });

  it('that was begun for a keyset which never came serves the next invocation', async () => {
    const { asked, login } = countedLogin();
    let source = (): Promise<Keyset> => Promise.reject(new KeysetFailure('none', 'test'));
    const { invoke } = createFunction({ login, keysetSource: () => source() });
    await expect(invoke(records(2))).rejects.toThrow(KeysetFailure);
    await untilConnected();

    source = async () => keyset;

    expect(await invoke(records(2))).toEqual([]);
    expect(asked.passwords).toBe(1);
  });

  it('that was begun in vain for a keyset which never came is no failure of the next invocation', async () => {
    const given = tlsLogin(database.url);
    let away = true;
    const password = () => (away ? Promise.reject(new LoginFailure('no token', 'test')) : given.password());
    const source = () => (away ? Promise.reject(new KeysetFailure('none', 'test')) : Promise.resolve(keyset));
    const { invoke, log } = createFunction({ login: { ...given, password }, keysetSource: source });
    await expect(invoke(records(2))).rejects.toThrow(KeysetFailure);

    away = false;

    expect(await invoke(records(2))).toEqual([]);
    expect(log.map(({ level }) => level)).toEqual(['error', 'info']);
  });

  it('has its certificates parsed once, before there is an invocation', async () => {
    const parsed = vi.spyOn(tls, 'createSecureContext');
    const certificates = [inject('certificateAuthority')];
    const login = tlsLogin(database.url, { certificates: async () => certificates });

    const { invoke } = createFunction({ login });
    await vi.waitFor(() => expect(parsed).toHaveBeenCalledTimes(1));
    await invoke(records(2));
    await withClient(login, async () => undefined);

    expect(parsed).toHaveBeenCalledTimes(1);
    parsed.mockRestore();
  });
});
