import { beforeEach, describe, expect, it } from 'vitest';
import type { Login } from '../../lambda/postgres/connection.ts';
import { useDatabase } from '../support/database.ts';
import { type Behaviour, type Proxy as DatabaseProxy, END_OF_ROWS, startProxy } from '../support/proxy.ts';
import { tlsLogin } from '../support/tls.ts';
import { useLedger } from './ledger.ts';
import { idsOf, planted } from './planted.ts';

const database = useDatabase();
const { createFunction, warmFunction, reconcile } = useLedger(database);

let proxy: DatabaseProxy;
beforeEach(async () => {
  proxy = await startProxy(database.url);
  return () => proxy.close();
});

/** What Lambda gives an invocation here, in milliseconds. */
const LIMIT = 2_500;

async function timed<T>(work: Promise<T>): Promise<[T, number]> {
  const start = performance.now();
  return [await work, performance.now() - start];
}

const byUrl = (url: string): Login => ({ kind: 'url', url });

describe.each<[string, Behaviour]>([
  ['stalls', 'stall'],
  ['lets a byte a second through', 'drip'],
])('a network that %s', (_name, fault) => {
  it.each<[string, (url: string) => Login]>([
    ['', byUrl],
    [' by TLS', tlsLogin],
  ])('on an open connection%s gets every id back in time, and is named', async (_name, login) => {
    const { invoke, reports } = createFunction({ login: login(proxy.url) });
    await invoke(planted(1));
    const batch = planted(1_000);
    proxy.behave(fault);

    const [failed, milliseconds] = await timed(invoke(batch, { milliseconds: LIMIT }));
    proxy.behave('pass');

    expect(failed).toEqual(idsOf(batch));
    expect(milliseconds).toBeLessThan(LIMIT);
    expect(reports.map(({ unreachable }) => unreachable)).toEqual([undefined, 'connection_lost']);
    await reconcile();
  });

  it('before the answer to COMMIT gets every id back in time, and makes no second row', async () => {
    const { invoke } = await warmFunction({ databaseUrl: proxy.url });
    const batch = planted(100);
    const commit = proxy.hold(END_OF_ROWS);

    const [failed, milliseconds] = await timed(
      Promise.all([
        invoke(batch, { milliseconds: LIMIT }),
        commit.then((held) => {
          held.pass();
          proxy.behave(fault);
        }),
      ]),
    );
    proxy.behave('pass');

    expect(failed[0]).toEqual(idsOf(batch));
    expect(milliseconds).toBeLessThan(LIMIT);
    expect(await database.count()).toBe(101);
    await reconcile();
  });

  it('on a connection attempt gets every id back in time, and does not keep the next invocation', async () => {
    const { invoke, reports } = createFunction({ databaseUrl: proxy.url });
    const batch = planted(10);
    proxy.behave(fault);

    const [failed, milliseconds] = await timed(invoke(batch, { milliseconds: LIMIT }));
    proxy.behave('pass');
    // An attempt is given up after 35 s where the invocation does not end it.
    const [again, patience] = await timed(invoke(batch, { milliseconds: 20_000 }));

    expect([failed, again]).toEqual([idsOf(batch), []]);
    expect(milliseconds).toBeLessThan(LIMIT);
    expect(patience).toBeLessThan(5_000);
    expect(reports.map(({ unreachable }) => unreachable)).toEqual(['connection_lost', undefined]);
    await reconcile();
  });
});

describe('a network that resets', () => {
  it('the connection once is mended within the invocation', async () => {
    const { invoke, reports } = await warmFunction({ databaseUrl: proxy.url });
    const beforeCommit = proxy.hold(END_OF_ROWS);

    const invocation = invoke(planted(1_000));
    await beforeCommit;
    expect(proxy.cut()).toBe(1);

    expect(await invocation).toEqual([]);
    expect(reports).toMatchObject([{ stored: 1_000 }]);
    await reconcile();
  });

  it('every connection makes the invocation fail soon, so that the mapping backs off', async () => {
    const { invoke, failures, reports } = createFunction({ databaseUrl: proxy.url });
    proxy.behave('refuse');

    const [, milliseconds] = await timed(expect(invoke(planted(10))).rejects.toThrow('(ECONNRESET)'));
    proxy.behave('pass');

    expect(milliseconds).toBeLessThan(5_000);
    expect(failures).toMatchObject([{ name: 'DatabaseFailure', code: 'ECONNRESET' }]);
    expect(reports).toEqual([]);
    await reconcile();
  });

  it('is told from nobody listening there, which fails alike', async () => {
    const { invoke, failures, reports } = createFunction({
      databaseUrl: 'postgres://nobody@127.0.0.1:1/none',
    });

    await expect(invoke(planted(3))).rejects.toThrow('the database cannot be reached (ECONNREFUSED)');

    expect(failures).toMatchObject([{ name: 'DatabaseFailure', code: 'ECONNREFUSED' }]);
    expect(reports).toEqual([]);
  });
});
