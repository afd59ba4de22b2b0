/**
 * One cold start: node is there, the bundle is loaded, and its first invocation stores one record; or, where the bundle is
 * that of pg alone, connects. What it needs comes as JSON in its second argument, the marks go to descriptor 3.
 */
import { subscribe } from 'node:diagnostics_channel';
import { writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { setImmediate as nextTurn } from 'node:timers/promises';

/** Milliseconds since 1970, with fractions, on the clock of the process that waits as well. */
export interface Marks {
  readonly started: number;
  readonly loaded: number;
  /** What was begun while it was loaded is there. */
  readonly ready: number;
  readonly keyset?: number | undefined;
  /** Logged in. */
  readonly connected: number;
  readonly done: number;
  /** Milliseconds of processor time, of all threads. */
  readonly cpu: number;
}

/** What a bundle exports: the function's handler, or pg's connect. */
interface Loaded {
  handler?(event: unknown, context: object): Promise<{ readonly batchItemFailures: readonly unknown[] }>;
  connect?(config: object): Promise<void>;
}

/** The server's `ReadyForQuery`, idle: the login is over. */
const READY_FOR_QUERY = 'Z\0\0\0\x05I';

const now = () => performance.timeOrigin + performance.now();
const started = now();
const [, , bundle = '', given = '{}'] = process.argv;
const { handler, connect } = createRequire(bundle)(bundle) as Loaded;
const loaded = now();
await nextTurn();
const ready = now();
let keyset: number | undefined;
subscribe('http.client.response.finish', () => {
  keyset = now();
});
const tls = process.getBuiltinModule('node:tls');
const { connect: connectTls } = tls;
let connected = 0;
tls.connect = ((...args: Parameters<typeof connectTls>) => {
  const socket = connectTls(...args);
  socket.on('data', (data: Buffer) => {
    if (connected === 0 && data.includes(READY_FOR_QUERY)) connected = now();
  });
  return socket;
}) as typeof connectTls;

const { event, config } = JSON.parse(given) as { readonly event: unknown; readonly config: object };
await connect?.(config);
const answer = await handler?.(event, { getRemainingTimeInMillis: () => 60_000 });
if (answer?.batchItemFailures.length) throw new Error('the record was not stored');
const done = now();
const { user, system } = process.cpuUsage();
const marks: Marks = { started, loaded, ready, keyset, connected, done, cpu: (user + system) / 1_000 };
writeSync(3, JSON.stringify(marks));
process.exit(0);
